"""Bugs planted on purpose, each alone, each to be caught by a layer of tests that already exists."""
