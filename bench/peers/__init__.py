"""Others who could do the same work, on the same topics: what people would write without us."""
