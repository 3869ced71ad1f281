"""The views: derived, rebuildable, allowed to die."""
