"""The faults, by what they strike; each counts only once it was really done."""
