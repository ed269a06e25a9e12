"""What two rooms use: locks, files, processes."""
