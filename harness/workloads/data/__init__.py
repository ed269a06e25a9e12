"""Data sets, a kind a file."""
