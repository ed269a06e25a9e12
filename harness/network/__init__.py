"""The trained network outside the harness: its record, its weights, loading and exporting it."""
