"""What a study's tables show, as pure functions."""
