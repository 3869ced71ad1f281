"""The bugs, by where they are planted."""
