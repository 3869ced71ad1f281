"""One file a stem: what each fact of that topic does to its order (RULES 4)."""
