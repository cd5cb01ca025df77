"""Training runs from their arguments to the table at their end: what `gd2po train` does, callable from Python."""

from typing import Final

INTERRUPTED: Final = 130
"""The shell's exit status for a program ended by Ctrl-C."""
