"""One file per method. A new file here with a subclass of `harness.Method` is a new method."""
