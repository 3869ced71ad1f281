"""A gateway adapter to copy, its bank on loopback, and the rig that holds it to the contract."""
