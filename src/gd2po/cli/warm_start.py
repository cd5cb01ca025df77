"""`gd2po warm-start`."""

from __future__ import annotations

import typer

from gd2po.cli.options import needing


def warm_start(context: typer.Context) -> None:
    """Teach a policy the output format from demonstrations, before `train`. Arguments as there.

    It is TRL's SFTTrainer with the recipe warm-start. `gd2po warm-start --help-all` lists every field.
    """
    with needing("warm-start", "trl"):
        from gd2po.training.warm_start import warm_start_command

    raise typer.Exit(warm_start_command(context.args))
