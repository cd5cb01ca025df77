"""`gd2po replay`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli import log_options as options
from gd2po.cli import method_options
from gd2po.cli.options import needing
from gd2po.cli.parsing import parse_families, parse_names, parse_step_range, parse_weights
from gd2po.replay.defaults import LEARNING_RATES, METHODS


def replay(
    path: options.Log,
    gold: Annotated[
        str | None,
        typer.Option(help="Column that judges the methods.", show_default="each reward in turn"),
    ] = None,
    methods: Annotated[str, typer.Option(help=method_options.METHODS_HELP)] = ",".join(METHODS),
    method: method_options.Method = None,
    baseline: method_options.Baseline = None,
    learning_rates: Annotated[
        str, typer.Option("--learning_rates", help=method_options.LEARNING_RATES_HELP)
    ] = ",".join(map("{:g}".format, LEARNING_RATES)),
    html: options.Html = None,
    json: options.Json = None,
    rewards: options.Rewards = None,
    reward_weights: options.RewardWeights = None,
    reward_families: options.RewardFamilies = None,
    group: options.Group = None,
    group_size: options.GroupSize = None,
    step: options.Step = None,
    step_range: options.StepRange = None,
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    length: options.Length = None,
    skip_bad_rows: options.SkipBadRows = False,
) -> None:
    """Let each method learn from the rewards of a log, and judge it by a column that it does not see.

    A policy over the logged rollouts of each prompt learns without a model, in seconds. The gold is a human label, a
    verifier, or a reward that the run did not train on. Logs are read as by gd2po diagnose.
    """
    with needing("replay", "report"):
        from gd2po.logs.choices import ColumnChoices
        from gd2po.logs.reward_log import RewardLog
        from gd2po.replay import print_replay
        from gd2po.replay.command import ReplayOptions, replay_log
        from gd2po.replay.views.page import to_json
        from gd2po.report.terminal import print_written

    names = None if rewards is None else parse_names(rewards)
    choices = ColumnChoices(
        step=step, group=group, group_size=group_size, rewards=names, prompt=prompt, completion=completion,
        length=length,
    )  # fmt: skip
    asked = ReplayOptions(
        gold=gold,
        methods=methods,
        own_methods=method or [],
        learning_rates=learning_rates,
        reward_weights=parse_weights(reward_weights),
        reward_families=parse_families(reward_families),
        baseline=baseline,
        html=html,
        json=None if json == "-" else json,
    )
    log = RewardLog(path, choices, step_range=parse_step_range(step_range), skip_bad_rows=skip_bad_rows)
    with Console(stderr=True).status("Reading ...") as status:
        result, written = replay_log(log, asked, lambda text: status.update(f"{text} ..."))
    if json == "-":
        typer.echo(to_json(result), nl=False)
        return
    print_replay(result, Console())
    print_written(written, Console())
