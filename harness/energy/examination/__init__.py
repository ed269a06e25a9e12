"""Getting to know this machine's sensors, for `doctor`."""
