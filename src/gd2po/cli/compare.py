"""`gd2po compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.cli.options import needing
from gd2po.comparison.run import DEFAULT_METHODS


def compare(
    context: typer.Context,
    config: Annotated[str, typer.Option(help="A packaged recipe or a YAML file, as of gd2po train.")] = "quickstart",
    methods: Annotated[str, typer.Option(help="Built-in methods to compare, or '' for none.")] = DEFAULT_METHODS,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method of your own, name:key=value,key=value; may be repeated.", show_default=False),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds: 0-4, or 0,1,7.")] = "0-4",
    jobs: Annotated[int, typer.Option(help="Runs at a time.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Threads of each run.", show_default="cores / jobs")] = None,
    output_dir: Annotated[
        str | None,
        typer.Option("--output_dir", help="Folder of the comparison.", show_default="runs/compare-CONFIG"),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Method that the others are compared with.", show_default="gdpo, or the first"),
    ] = None,
    eval_prompts: Annotated[int, typer.Option("--eval_prompts", help="Held-out prompts.")] = 256,
    eval_every: Annotated[
        int | None,
        typer.Option("--eval_every", help="Steps between two evaluations.", show_default="a fifth of all"),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Score whose first reaching is reported, score=number; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Train methods x seeds with everything else equal, and say which differences are beyond noise.

    Every other field of gd2po train may be given too, for all runs alike. The same command resumes a comparison that
    was stopped, and takes further methods and seeds in.
    """
    with needing("compare", "trl,report"):
        from gd2po.training.compare import CompareOptions, compare_command

    options = CompareOptions(
        config=config,
        methods=methods,
        own_methods=method or [],
        seeds=seeds,
        jobs=jobs,
        threads=threads,
        output_dir=output_dir,
        baseline=baseline,
        eval_prompts=eval_prompts,
        eval_every=eval_every,
        targets=target or [],
    )
    raise typer.Exit(compare_command(options, context.args))
