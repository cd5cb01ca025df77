"""`gd2po check-rewards`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli import run_options as options
from gd2po.cli.options import needing


def check_rewards(
    reward_funcs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Reward functions: tool_call_correctness, tool_call_format, think_length, or dotted import paths such "
            "as my_rewards.brevity (looked up from the current directory too).",
            show_default=False,
        ),
    ] = None,
    reward_kwargs: options.RewardKwargs = None,
    dataset_name: Annotated[
        str | None,
        options.dataset_name("builtin:toolcalls, a Parquet or JSON file or folder, a URL, or a dataset of the hub"),
    ] = None,
    dataset_config: options.DatasetConfig = None,
    dataset_train_split: options.DatasetTrainSplit = None,
    model_name_or_path: options.ModelNameOrPath = None,
    model_revision: options.ModelRevision = None,
    gguf_file: options.GgufFile = None,
    max_completion_length: Annotated[int | None, options.max_completion_length("512")] = None,
    config: Annotated[str | None, typer.Option(help=options.CONFIG_HELP, show_default=False)] = None,
) -> None:
    """Try reward functions before a run does: on rollouts of a policy, on your answers, or on built-in samples.

    Says what gd2po train would refuse and what is seldom meant.
    """
    with needing("check-rewards", "trl"):
        from gd2po.training.check_rewards import CheckOptions, check_rewards_command

    options = CheckOptions(
        config=config,
        reward_funcs=reward_funcs or None,
        reward_kwargs=reward_kwargs,
        dataset_name=dataset_name,
        dataset_config=dataset_config,
        dataset_train_split=dataset_train_split,
        model_name_or_path=model_name_or_path,
        model_revision=model_revision,
        gguf_file=gguf_file,
        max_completion_length=max_completion_length,
    )
    raise typer.Exit(check_rewards_command(options, Console()))
