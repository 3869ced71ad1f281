"""The program `escrow`."""
