"""Statistics and verdicts: pure functions on the tidy tables."""
