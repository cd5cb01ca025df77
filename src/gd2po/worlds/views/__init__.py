"""A comparison in worlds in the terminal and as a page."""

from gd2po.worlds.views.terminal import print_map
from gd2po.worlds.views.wording import difference, signed

__all__ = ["difference", "print_map", "signed"]
