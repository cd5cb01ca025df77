"""Training runs from their arguments to the table at their end: what `gd2po train` does, callable from Python."""
