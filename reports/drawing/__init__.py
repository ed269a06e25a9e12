"""What figures share: their look, their labels, and what belongs to which arm."""
