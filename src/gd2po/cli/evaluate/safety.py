"""`gd2po evaluate safety`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gd2po.cli import run_options
from gd2po.cli.evaluate import options
from gd2po.cli.evaluate.parsing import parse_reward_models
from gd2po.cli.options import needing, resumable
from gd2po.evaluation.run.policy import SAFETY_PROMPT_TOKENS


@options.with_policy("safety")
def safety(
    dataset_name: Annotated[str, run_options.dataset_name("a file, or a folder with test files")],
    reward_models: Annotated[
        str, typer.Option("--reward_models", help="name=folder or hub id, with commas between them.")
    ],
    *,
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    eval_prompts: options.EvalPrompts = None,
    max_prompt_tokens: Annotated[
        int, typer.Option("--max_prompt_tokens", help="Of a longer prompt only the end is read.")
    ] = SAFETY_PROMPT_TOKENS,
    reward_batch_size: Annotated[int, typer.Option("--reward_batch_size", help="Conversations scored at once.")] = 8,
    policy: dict[str, Any],
) -> None:
    """Score helpfulness and safety: the mean of each reward model and of their sum, per data set."""
    with needing("evaluate safety", "trl"):
        from gd2po.evaluation.run.safety import evaluate_safety
        from gd2po.evaluation.run.terminal import print_safety

    chosen = options.chosen_policy(**policy, max_prompt_tokens=max_prompt_tokens)
    reward_options = {name: policy[name] for name in ("dtype", "device", "trust_remote_code")}
    with resumable() as console:
        evaluation = evaluate_safety(
            dataset_name,
            parse_reward_models(reward_models),
            chosen,
            outputs=outputs,
            output_dir=output_dir,
            eval_prompts=eval_prompts,
            reward_options={"batch_size": reward_batch_size, **reward_options},
            console=console,
        )
    print_safety(evaluation, console)
