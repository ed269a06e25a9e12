"""Networks, a family a file."""
