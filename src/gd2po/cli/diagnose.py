"""`gd2po diagnose`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli.options import needing
from gd2po.cli.parsing import parse_families, parse_names, parse_step_range, parse_weights


def diagnose(
    path: Annotated[str, typer.Argument(help="A file, a folder (of a run, too) or a quoted glob.", show_default=False)],
    html: Annotated[str | None, typer.Option(help="Write the page here.", show_default=False)] = None,
    json: Annotated[
        str | None, typer.Option(help="Write the numbers here; - for the standard output.", show_default=False)
    ] = None,
    rewards: Annotated[str | None, typer.Option(help="Columns of the rewards: a,b,c.", show_default=False)] = None,
    reward_weights: Annotated[
        str | None,
        typer.Option(
            "--reward_weights", help="Weights of the rewards: a=1,b=0.5, or one per reward: 1,0.5.", show_default=False
        ),
    ] = None,
    reward_conditions: Annotated[
        str | None,
        typer.Option(
            "--reward_conditions",
            help="Conditions to try on the log, as JSON: "
            '[{"reward": "length", "on": "correctness", "threshold": 1.0}].',
            show_default=False,
        ),
    ] = None,
    reward_families: Annotated[
        str | None,
        typer.Option(
            "--reward_families", help="Families of the rewards: a=x,b=x; others are alone.", show_default=False
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that is equal for the rollouts of one prompt.", show_default=False)
    ] = None,
    group_size: Annotated[
        int | None,
        typer.Option(
            "--group_size", help="Rollouts per prompt, in consecutive rows, where no column tells.", show_default=False
        ),
    ] = None,
    step: Annotated[str | None, typer.Option(help="Column of the training step.", show_default=False)] = None,
    step_range: Annotated[
        str | None, typer.Option("--step_range", help="Steps to look at: 100:200, 100: or :200.", show_default=False)
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Column of the prompt.", show_default=False)] = None,
    completion: Annotated[str | None, typer.Option(help="Column of the completion.", show_default=False)] = None,
    length: Annotated[str | None, typer.Option(help="Column of the completion's tokens.", show_default=False)] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip_bad_rows", help="Count malformed rows instead of stopping.")
    ] = False,
) -> None:
    """Show where the rewards of a run conflict, and what each method would do about it.

    Reads what TRL (log_completions), verl (rollout_data_dir) and gd2po write, and plain JSONL, CSV and Parquet. For a
    run folder of gd2po it rebuilds the report inside it.
    """
    with needing("diagnose", "report"):
        from gd2po.diagnosis import ColumnChoices, RewardLog, print_diagnosis, report_log, to_json

    names = None if rewards is None else parse_names(rewards)
    weights = None if reward_weights is None else parse_weights(reward_weights)
    choices = ColumnChoices(
        step=step, group=group, group_size=group_size, rewards=names, prompt=prompt, completion=completion,
        length=length,
    )  # fmt: skip
    log = RewardLog(path, choices, step_range=parse_step_range(step_range), skip_bad_rows=skip_bad_rows)
    with Console(stderr=True).status("Reading ...") as status:
        report = report_log(
            log,
            weights,
            reward_conditions=reward_conditions,
            reward_families=None if reward_families is None else parse_families(reward_families),
            html=html,
            json=None if json == "-" else json,
            progress=lambda rollouts: status.update(f"Read {rollouts:,} rollouts ..."),
        )
    if json == "-":
        typer.echo(to_json(report.diagnosis), nl=False)
        return
    console = Console(highlight=False, soft_wrap=True)
    print_diagnosis(report.diagnosis, Console())
    for written in filter(None, (report.html, report.json)):
        console.print(f"Written: {written}", markup=False)
    if report.html is None:
        console.print(f"To look at the conflicts: gd2po diagnose {path} --html report.html", markup=False)
