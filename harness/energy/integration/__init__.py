"""Integrates sensor readings to the energy of windows; `windows` explains how."""
