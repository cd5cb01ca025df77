"""The methods, one file each, and the table that everything else asks: a new method is its file and a line here."""

from __future__ import annotations

from typing import Final

from gd2po.core.methods.base import Method
from gd2po.core.methods.gd2po import GD2PO
from gd2po.core.methods.gdpo import GDPO
from gd2po.core.methods.grpo import GRPO

METHODS: Final[dict[str, Method]] = {method.name: method for method in (GRPO, GDPO, GD2PO)}
"""Every method by name, in the order of tables."""
