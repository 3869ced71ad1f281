"""The doors: one thin declarative file a stage."""
