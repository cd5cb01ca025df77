"""`gd2po evaluate safety`."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.cli.evaluate import options
from gd2po.cli.options import needing, resumable
from gd2po.cli.parsing import parse_reward_models
from gd2po.evaluation.run.policy import LONGEST_COMPLETION, SAFETY_PROMPT_TOKENS


def safety(
    data: Annotated[str, typer.Option(help="File of prompts, or folder with test files of them.")],
    reward_models: Annotated[
        str, typer.Option("--reward_models", help="name=folder or hub id, with commas between them.")
    ],
    model_name_or_path: options.Model = None,
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    limit: options.Limit = None,
    backend: options.Backend = "transformers",
    max_completion_length: options.MaxCompletionLength = LONGEST_COMPLETION["safety"],
    max_prompt_tokens: Annotated[
        int, typer.Option("--max_prompt_tokens", help="Of a longer prompt only the end is read.")
    ] = SAFETY_PROMPT_TOKENS,
    batch_size: options.BatchSize = None,
    reward_batch_size: Annotated[int, typer.Option("--reward_batch_size", help="Conversations scored at once.")] = 8,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    gguf_file: options.GgufFile = None,
    model_revision: options.ModelRevision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score helpfulness and safety: the mean of each reward model and of their sum, per data set."""
    with needing("evaluate safety", "trl"):
        from gd2po.evaluation.run.safety import evaluate_safety
        from gd2po.evaluation.run.terminal import print_safety

    both = {"dtype": dtype, "device": device, "trust_remote_code": trust_remote_code}
    policy = options.chosen_policy(
        model_name_or_path,
        backend=backend,
        max_completion_length=max_completion_length,
        max_prompt_tokens=max_prompt_tokens,
        batch_size=batch_size,
        gguf_file=gguf_file,
        model_revision=model_revision,
        **both,
    )
    with resumable() as console:
        evaluation = evaluate_safety(
            data,
            parse_reward_models(reward_models),
            policy,
            outputs=outputs,
            output_dir=output_dir,
            limit=limit,
            reward_options={"batch_size": reward_batch_size, **both},
            console=console,
        )
    print_safety(evaluation, console)
