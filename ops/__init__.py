"""The people: command line, console, and the stack on one machine."""
