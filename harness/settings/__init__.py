"""Typed settings of a study, and the names that they may hold."""
