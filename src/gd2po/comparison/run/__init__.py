"""The runs of a comparison: what is planned, the folder they live in, and the processes that make them."""

from typing import Final

DEFAULT_METHODS: Final = "grpo,gdpo,gd2po-hard,gd2po-snr,consensus,rvpo"
"""Compared unless others are named: the two that GD²PO builds on, two of its variants, the default, and its rival."""
