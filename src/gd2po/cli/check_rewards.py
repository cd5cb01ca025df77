"""`gd2po check-rewards`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gd2po.cli.options import needing


def check_rewards(
    reward_funcs: Annotated[
        list[str] | None,
        typer.Argument(help="Reward functions: built-in names or my_module.my_function.", show_default=False),
    ] = None,
    reward_kwargs: Annotated[
        str | None, typer.Option("--reward_kwargs", help="Options per function, as JSON.", show_default=False)
    ] = None,
    dataset_name: Annotated[
        str | None, typer.Option("--dataset_name", help="Prompts to check on.", show_default=False)
    ] = None,
    dataset_config: Annotated[
        str | None, typer.Option("--dataset_config", help="Configuration of a hub dataset.", show_default=False)
    ] = None,
    dataset_train_split: Annotated[
        str | None, typer.Option("--dataset_train_split", help="Split to check on.", show_default="train")
    ] = None,
    model_name_or_path: Annotated[
        str | None,
        typer.Option("--model_name_or_path", help="Policy whose rollouts to check on.", show_default=False),
    ] = None,
    model_revision: Annotated[
        str | None, typer.Option("--model_revision", help="Branch, tag or commit of a hub id.", show_default=False)
    ] = None,
    gguf_file: Annotated[
        str | None, typer.Option("--gguf_file", help="File in the model's folder, for GGUF.", show_default=False)
    ] = None,
    max_completion_length: Annotated[
        int | None, typer.Option("--max_completion_length", help="Longest rollout, in tokens.", show_default="512")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Recipe or YAML file of a run, for all of these.", show_default=False)
    ] = None,
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
