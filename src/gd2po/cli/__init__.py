"""The command line: words to calls. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli import check_rewards, compare, diagnose, doctor, evaluate, init, recipes, replay, train, warm_start
from gd2po.cli.command import Command
from gd2po.cli.options import ANY_FIELD
from gd2po.errors import GD2POError

# Every word of these commands, `--help` included, is for TRL's parser.
_FOR_TRL = {**ANY_FIELD, "help_option_names": []}
_FIELDS = "[--config RECIPE_OR_PATH] [--any_field VALUE ...]"

app = typer.Typer(
    name="gd2po",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reinforcement learning on several rewards that disagree: train with GD²PO, see what it does to each reward.",
)
app.command("train", context_settings=_FOR_TRL, options_metavar=_FIELDS)(train.train)
app.command("warm-start", context_settings=_FOR_TRL, options_metavar=_FIELDS)(warm_start.warm_start)
app.command("init", cls=Command)(init.init)
app.command("check-rewards", cls=Command)(check_rewards.check_rewards)
app.command("diagnose", cls=Command)(diagnose.diagnose)
app.add_typer(evaluate.evaluate, name="evaluate")
app.command("compare", cls=Command, context_settings=ANY_FIELD, options_metavar="[OPTIONS] [--any_field VALUE ...]")(
    compare.compare
)
app.command("replay", cls=Command)(replay.replay)
app.command("recipes", cls=Command)(recipes.recipes)
app.command("doctor", cls=Command)(doctor.doctor)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        import gd2po

        typer.echo(f"gd2po {gd2po.__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of `gd2po`: errors that gd2po raises on purpose become one message and exit status 2."""
    try:
        app()
    except GD2POError as error:
        console = Console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
