"""The tables of a report, one file each, and the formats they are written in."""
