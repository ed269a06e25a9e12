"""How well, and at what cost, this harness measures: anybody can run these again."""
