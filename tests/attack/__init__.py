"""Attackers, seeded: every record that was not written by whom it names is found out, with the right reason."""
