"""`gd2po evaluate toolcalls`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gd2po.cli import run_options
from gd2po.cli.command import say_new_name
from gd2po.cli.evaluate import options
from gd2po.cli.options import needing, resumable


@options.with_policy("toolcalls")
def toolcalls(
    *,
    eval_prompts: Annotated[int, typer.Option("--eval_prompts", help=run_options.EVAL_PROMPTS_HELP)] = 512,
    reward_kwargs: run_options.RewardKwargs = None,
    target_words: Annotated[float | None, typer.Option("--target_words", hidden=True)] = None,
    temperature: Annotated[float, typer.Option(help="0 for greedy outputs; 1 samples as a training run does.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    policy: dict[str, Any],
) -> None:
    """Score the built-in task: exactly right calls, and the mean of each reward.

    The folder of a run is scored with the rewards, options and prompts of that run.
    """
    with needing("evaluate toolcalls", "trl"):
        from gd2po.evaluation.run.terminal import print_toolcalls
        from gd2po.evaluation.run.toolcalls import evaluate_toolcalls

    if target_words is not None:
        of_length = f"think_length.target_words={target_words:g}"
        say_new_name("--target_words", f"--reward_kwargs {of_length}")
        reward_kwargs = [*(reward_kwargs or []), of_length]
    chosen = options.chosen_policy(**policy, temperature=temperature, seed=seed)
    with resumable() as console:
        evaluation = evaluate_toolcalls(
            chosen,
            outputs=outputs,
            output_dir=output_dir,
            eval_prompts=eval_prompts,
            reward_kwargs=reward_kwargs,
            console=console,
        )
    print_toolcalls(evaluation, console)
