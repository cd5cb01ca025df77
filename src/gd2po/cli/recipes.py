"""`gd2po recipes`."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's YAML.", show_default=False)] = None,
) -> None:
    """List the packaged recipes, or print one as a start for your own."""
    from gd2po.recipes import recipe_names, recipe_path, recipe_summary

    if name:
        typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)
        return
    for known in recipe_names():
        typer.echo(f"{known:<20} {recipe_summary(known)}")
