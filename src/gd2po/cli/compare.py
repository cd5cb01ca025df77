"""`gd2po compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.cli import method_options, run_options
from gd2po.cli.options import needing, refuse_beside, resumable
from gd2po.comparison.run import DEFAULT_METHODS

_OF_RUNS = ("config", "jobs", "threads", "eval_prompts", "eval_every", "target")
_OF_WORLDS = ("learning_rates", "sweep")


def compare(
    context: typer.Context,
    config: Annotated[str, typer.Option(help=run_options.CONFIG_HELP)] = "quickstart",
    methods: Annotated[str, typer.Option(help=method_options.METHODS_HELP)] = DEFAULT_METHODS,
    method: method_options.Method = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds: 0-4, or 0,1,7.", show_default="0-4; 0-23 in worlds")] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Threads of each run.", show_default="cores / jobs")] = None,
    output_dir: Annotated[str | None, run_options.output_dir("runs/compare-CONFIG")] = None,
    baseline: method_options.Baseline = None,
    eval_prompts: Annotated[int, typer.Option("--eval_prompts", help=run_options.EVAL_PROMPTS_HELP)] = 256,
    eval_every: Annotated[
        int | None,
        typer.Option(
            "--eval_every", help="Also score them every N steps of training.", show_default="a fifth of all steps"
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Score whose first reaching is reported, score=number; may be repeated.", show_default=False),
    ] = None,
    world: Annotated[
        str | None,
        typer.Option(help="Compare in simulated worlds: names or YAML files a,b, or all.", show_default=False),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option("--learning_rates", help=method_options.LEARNING_RATES_HELP, show_default="each world's own"),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(help="Turn a knob of one world: rare_gross.size=0,1,2,3.", show_default=False)
    ] = None,
) -> None:
    """Train methods x seeds with everything else equal, and say which differences are beyond noise.

    Every other field of gd2po train may be given too, for all runs alike. With --world the methods are compared in
    simulated worlds with known truth, in seconds and without a model. The same command resumes a comparison that was
    stopped, and takes further methods and seeds in.
    """
    refuse_beside(context, world is not None, "world", not_with=_OF_RUNS, only_with=_OF_WORLDS)
    if world is not None:
        with needing("compare", "report"):
            from gd2po.worlds.command import SEEDS, WorldOptions, compare_in_worlds

        asked = WorldOptions(
            world=world,
            methods=methods,
            own_methods=method or [],
            seeds=seeds or SEEDS,
            learning_rates=learning_rates,
            sweep=sweep,
            output_dir=output_dir,
            baseline=baseline,
        )
        with resumable() as console:
            compare_in_worlds(asked, console)
        return
    with needing("compare", "trl,report"):
        from gd2po.training.compare import CompareOptions, compare_command

    options = CompareOptions(
        config=config,
        methods=methods,
        own_methods=method or [],
        seeds=seeds or CompareOptions.seeds,
        jobs=jobs,
        threads=threads,
        output_dir=output_dir,
        baseline=baseline,
        eval_prompts=eval_prompts,
        eval_every=eval_every,
        targets=target or [],
    )
    raise typer.Exit(compare_command(options, context.args))
