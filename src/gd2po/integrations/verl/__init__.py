"""verl: the plug-in (`plugin.py`, loaded by verl through its entry point) and reward functions for it."""
