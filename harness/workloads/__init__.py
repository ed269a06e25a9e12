"""Data sets, models, and the input pipeline: the same for every method."""
