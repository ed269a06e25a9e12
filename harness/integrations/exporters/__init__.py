"""Exporters of a study's results."""
