"""The demo: a story told by the real pipeline, traffic, and a summary that would not lie."""
