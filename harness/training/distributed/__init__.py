"""A run that several processes train together."""
