"""`gd2po train`."""

from __future__ import annotations

import typer

from gd2po.cli.options import needing


def train(context: typer.Context) -> None:
    """Train a policy. Without arguments: the recipe quickstart. `gd2po train --help-all` lists every field.

    Arguments follow TRL: a YAML file or recipe gives the values, the command line overrides them.
    """
    with needing("train", "trl"):
        from gd2po.training.train import train_command

    raise typer.Exit(train_command(context.args))
