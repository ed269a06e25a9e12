"""Many runs: in which order, where, and within which limits."""
