"""A comparison in the terminal and as a page."""
