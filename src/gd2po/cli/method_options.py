"""The options by which methods are chosen and compared."""

from __future__ import annotations

from typing import Annotated

import typer

METHODS_HELP = "Built-in methods to compare, or '' for none."
LEARNING_RATES_HELP = "Learning rates that every method is tried on: 0.3,1,3."

Method = Annotated[
    list[str] | None,
    typer.Option(help="A method of your own, name:key=value,key=value; may be repeated.", show_default=False),
]
Baseline = Annotated[
    str | None, typer.Option(help="Method that the others are compared with.", show_default="gdpo, or the first")
]
