"""The invariants of the reliability page, each a function that yields violations of a case."""
