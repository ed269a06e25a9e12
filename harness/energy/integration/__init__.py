"""From what sensors reported to the energy of a window."""
