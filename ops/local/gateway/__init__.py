"""A simulated payment gateway: each command takes effect at most once, whatever dies in between."""

from ops.local.gateway.reading import Effect, Entry, Standing, effects, entries, standing
from ops.local.gateway.run import run_gateway

__all__ = ["Effect", "Entry", "Standing", "effects", "entries", "run_gateway", "standing"]
