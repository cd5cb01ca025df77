"""`gd2po diagnose`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gd2po.cli import log_options as options
from gd2po.cli.options import needing
from gd2po.cli.parsing import parse_families, parse_names, parse_step_range, parse_weights
from gd2po.errors import ConfigError

if TYPE_CHECKING:
    from gd2po.diagnosis import RunReport


def diagnose(
    path: options.Log,
    html: options.Html = None,
    json: options.Json = None,
    rewards: options.Rewards = None,
    reward_weights: options.RewardWeights = None,
    reward_families: options.RewardFamilies = None,
    reward_conditions: options.RewardConditions = None,
    group: options.Group = None,
    group_size: options.GroupSize = None,
    step: options.Step = None,
    step_range: options.StepRange = None,
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    length: options.Length = None,
    skip_bad_rows: options.SkipBadRows = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow a run: write the page again when its log grows. Ctrl-C ends it.")
    ] = False,
) -> None:
    """Show where the rewards of a run conflict, and what each method would do about it.

    Reads what TRL (log_completions), verl (rollout_data_dir) and gd2po write, also in W&B and trackio, and plain JSONL,
    CSV and Parquet. For a run folder of gd2po it rebuilds the report inside it.
    """
    with needing("diagnose", "report"):
        from gd2po.diagnosis import ColumnChoices, RewardLog, print_diagnosis, report_log, to_json
        from gd2po.report.commands import command, replay_command
        from gd2po.report.terminal import print_written

    names = None if rewards is None else parse_names(rewards)
    weights = parse_weights(reward_weights)
    choices = ColumnChoices(
        step=step, group=group, group_size=group_size, rewards=names, prompt=prompt, completion=completion,
        length=length,
    )  # fmt: skip

    def write(reload_s: int | None = None) -> RunReport:
        log = RewardLog(path, choices, step_range=parse_step_range(step_range), skip_bad_rows=skip_bad_rows)
        with Console(stderr=True).status("Reading ...") as status:
            return report_log(
                log,
                weights,
                reward_conditions=reward_conditions,
                reward_families=parse_families(reward_families),
                html=html,
                json=None if json == "-" else json,
                reload_s=reload_s,
                progress=lambda rollouts: status.update(f"Read {rollouts:,} rollouts ..."),
            )

    if watch:
        _follow(path, write, html, json)
        return
    report = write()
    if json == "-":
        typer.echo(to_json(report.diagnosis), nl=False)
        return
    console = Console(highlight=False, soft_wrap=True)
    print_diagnosis(report.diagnosis, Console())
    print_written(filter(None, (report.html, report.json)), console)
    if report.html is None:
        looking = command("diagnose", path, "--html", "report.html")
        console.print(f"To look at the conflicts: {looking}", markup=False)
    console.print(f"To see what each method would make of these rollouts: {replay_command(path)}", markup=False)


def _follow(path: str, write: Callable[[int | None], RunReport], html: str | None, json: str | None) -> None:
    """Write the page again and again, with a line for each, until the run or Ctrl-C ends it."""
    from gd2po.diagnosis.watch import LogWatch
    from gd2po.runs.folder import CONFIG, REPORT_HTML

    page = html or (str(Path(path, REPORT_HTML)) if Path(path, CONFIG).is_file() else None)
    if page is None:
        raise ConfigError("--watch needs a page to write: add --html report.html.")
    if json == "-":
        raise ConfigError("--watch writes the numbers again and again: give --json a file.")
    watching = LogWatch(path, write)
    signal.signal(signal.SIGINT, watching.interrupt)
    typer.echo(f"Open {page} in a browser. It follows {path} until the run or Ctrl-C ends it.")
    try:
        for report in watching.reports():
            source, headline = report.diagnosis.source, report.diagnosis.verdict.headline
            typer.echo(f"step {source.last_step:,} · {source.rollouts:,} rollouts · {headline}")
        typer.echo("The run has ended.")
    except KeyboardInterrupt:
        typer.echo(f"Stopped. Written: {page}")
    finally:
        watching.close()
