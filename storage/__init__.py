"""The rows: the only folder that speaks SQL."""
