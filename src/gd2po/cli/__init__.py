"""The command line. Commands import what they need when they run, so that `gd2po --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli.diagnose import diagnose
from gd2po.cli.evaluate import evaluate
from gd2po.errors import GD2POError, MissingDependencyError

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
    from gd2po.training.train import train_command

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
    from gd2po.training.warm_start import warm_start_command

    raise typer.Exit(warm_start_command(context.args))


app.command()(diagnose)
app.add_typer(evaluate, name="evaluate")


@app.command()
def doctor() -> None:
    """Say what is found here to work with (torch, TRL, verl, vLLM ...), whether it loads, and what to do if not."""
    from gd2po.cli.doctor import run_checks

    raise typer.Exit(run_checks())


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[OPTIONS] [--any_field VALUE ...]",
)
def compare(
    context: typer.Context,
    config: str = typer.Option("quickstart", help="A packaged recipe or a YAML file, as of gd2po train."),
    methods: str = typer.Option(
        "grpo,gdpo,gd2po-hard,gd2po-snr,gd2po-auto,gd2po-gated", help="Built-in methods to compare, or '' for none."
    ),
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method of your own, name:key=value,key=value; may be repeated.", show_default=False),
    ] = None,
    seeds: str = typer.Option("0-4", help="Seeds: 0-4, or 0,1,7."),
    jobs: int = typer.Option(1, help="Runs at a time."),
    threads: int | None = typer.Option(None, help="Threads of each run.", show_default="cores / jobs"),
    out: str | None = typer.Option(None, help="Folder of the comparison.", show_default="runs/compare-CONFIG"),
    baseline: str | None = typer.Option(
        None, help="Method that the others are compared with.", show_default="gdpo, or the first"
    ),
    eval_prompts: int = typer.Option(256, "--eval-prompts", "--eval_prompts", help="Held-out prompts."),
    eval_every: int | None = typer.Option(
        None, "--eval-every", "--eval_every", help="Steps between two evaluations.", show_default="a fifth of all"
    ),
    target: Annotated[
        list[str] | None,
        typer.Option(help="Score whose first reaching is reported, score=number; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Train methods x seeds with everything else equal, and say which differences are beyond noise.

    Every other field of gd2po train may be given too, for all runs alike. The same command goes on with a comparison
    that was stopped, and takes further methods and seeds in.
    """
    try:
        # The page comes last, and nobody should learn after hours that it cannot be made.
        import jinja2 as _jinja2  # noqa: F401
        import plotly.offline as _plotly  # noqa: F401

        from gd2po.training.compare import CompareOptions, compare_command
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"`gd2po compare` needs {error.name}: pip install 'gd2po[trl,report]'.") from error

    options = CompareOptions(
        config, methods, method or [], seeds, jobs, threads, out, baseline, eval_prompts, eval_every, target or []
    )
    raise typer.Exit(compare_command(options, context.args))


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
