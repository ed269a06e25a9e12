"""What a method can ask the harness for."""
