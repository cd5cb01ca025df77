"""The runs of a comparison: what is planned, the folder they live in, and the processes that make them."""

from typing import Final

DEFAULT_METHODS: Final = "grpo,gdpo,gd2po-hard,gd2po-snr,gd2po-auto,gd2po-gated"
"""Compared unless others are named: GD²PO in its variants, and the two methods that it builds on."""
