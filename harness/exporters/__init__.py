"""Results for other programs: one file an exporter, each through that program's own library."""
