"""The command line. Commands import what they need when they run, so that `gd2po --help` answers at once."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from gd2po.cli.diagnose import diagnose
from gd2po.cli.evaluate import evaluate
from gd2po.errors import GD2POError

app = typer.Typer(
    name="gd2po",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reinforcement learning on several rewards that disagree: train with GD²PO, see what it does to each reward.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        import gd2po

        typer.echo(f"gd2po {gd2po.__version__}")
        raise typer.Exit


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="[--config RECIPE_OR_PATH] [--any_field VALUE ...]",
)
def train(context: typer.Context) -> None:
    """Train a policy. Without arguments: the recipe quickstart. `gd2po train --help` lists every field.

    Arguments follow TRL: a YAML file or recipe gives the values, the command line overrides them.
    """
    from gd2po.cli.train import train_command

    raise typer.Exit(train_command(context.args))


@app.command(
    "warm-start",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="[--config RECIPE_OR_PATH] [--any_field VALUE ...]",
)
def warm_start(context: typer.Context) -> None:
    """Teach a policy the output format from demonstrations, before `train`. Arguments as there.

    It is TRL's SFTTrainer with the recipe warm-start. `gd2po warm-start --help` lists every field.
    """
    from gd2po.cli.warm_start import warm_start_command

    raise typer.Exit(warm_start_command(context.args))


app.command()(diagnose)
app.add_typer(evaluate, name="evaluate")


@app.command()
def doctor() -> None:
    """Say what is found here to work with (torch, TRL, verl, vLLM ...), whether it loads, and what to do if not."""
    from gd2po.cli.doctor import run_checks

    raise typer.Exit(run_checks())


@app.command()
def recipes(name: str = typer.Argument(None, help="Print this recipe's YAML.")) -> None:
    """List the packaged recipes, or print one as a start for your own."""
    from gd2po.recipes import recipe_names, recipe_path, recipe_summary

    if name:
        typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)
        return
    for known in recipe_names():
        typer.echo(f"{known:<20} {recipe_summary(known)}")


def main() -> None:
    """Entry point of `gd2po`: errors that gd2po raises on purpose become one message and exit status 2."""
    try:
        app()
    except GD2POError as error:
        console = Console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
