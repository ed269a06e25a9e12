"""How each tool is called: `measure(load)`, a file each, imported in that tool's process alone."""
