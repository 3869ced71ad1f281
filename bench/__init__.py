"""How fast, measured beside the limit of its parts: a figure is printed only for a right result."""
