"""One file a stem: what a fact of that stem does to an order."""
