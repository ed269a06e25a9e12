"""The state that training changes, the one loop that changes it, and its checkpoints."""
