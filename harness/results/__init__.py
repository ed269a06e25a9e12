"""Run folders, journal, tidy table: the only room that knows file names."""
