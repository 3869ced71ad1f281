"""The real stages, relay and ticker on an in-process broker, database and clock; one seed, one order of events."""
