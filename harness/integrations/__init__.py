"""Other programs: trainers to measure, trackers to export to."""
