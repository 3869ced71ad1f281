"""A simulated payment gateway: each command takes effect at most once, whatever dies in between."""
