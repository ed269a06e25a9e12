"""Meters, recorder, trace, integration with uncertainty, carbon. Knows no torch and no method."""
