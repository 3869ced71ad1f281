"""Faults on real processes, servers and inputs, and a judge that shares no code with what it judges."""
