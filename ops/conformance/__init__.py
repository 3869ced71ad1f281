"""Does a gateway adapter keep what RULES 4.6 asks of it: checks to be run against any adapter, by its author."""
