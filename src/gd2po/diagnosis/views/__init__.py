"""A diagnosis in the terminal, as a page and as JSON."""
