"""A replay in the terminal and as a page."""
