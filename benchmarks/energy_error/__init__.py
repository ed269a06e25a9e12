"""Every tool's error on a stand-in GPU of known power."""
