"""`gd2po init`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer


def init(
    folder: Annotated[str, typer.Argument(help="Where to write them.")] = ".",
) -> None:
    """Write a commented run, run.yaml, and its rewards, my_rewards.py, to start your own from."""
    from gd2po.report.commands import command
    from gd2po.training.start import write_start

    for path in write_start(folder):
        typer.echo(f"Written: {path}")
    change = "" if folder == "." else f"  cd {shlex.quote(folder)}\n"
    typer.echo(f"Next:\n{change}  {command('check-rewards', '--config', 'run.yaml')}")
    typer.echo(f"  {command('train', '--config', 'run.yaml', '--max_steps', '1', '--output_dir', 'runs/try')}")
