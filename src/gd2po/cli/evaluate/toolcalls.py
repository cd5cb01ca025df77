"""`gd2po evaluate toolcalls`."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.cli.evaluate import options
from gd2po.cli.options import needing, resumable
from gd2po.evaluation.run.policy import LONGEST_COMPLETION


def toolcalls(
    model_name_or_path: options.Model = None,
    eval_prompts: Annotated[int, typer.Option("--eval_prompts", help="Held-out prompts.")] = 512,
    target_words: Annotated[
        float, typer.Option("--target_words", help="Words of thought for a length reward of 1.")
    ] = 32,
    temperature: Annotated[float, typer.Option(help="0 for greedy outputs; 1 samples as a training run does.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    backend: options.Backend = "transformers",
    max_completion_length: options.MaxCompletionLength = LONGEST_COMPLETION["toolcalls"],
    batch_size: options.BatchSize = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    gguf_file: options.GgufFile = None,
    model_revision: options.ModelRevision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score the built-in task: exactly right calls, and the mean of each reward."""
    with needing("evaluate toolcalls", "trl"):
        from gd2po.evaluation.run.terminal import print_toolcalls
        from gd2po.evaluation.run.toolcalls import evaluate_toolcalls

    policy = options.chosen_policy(
        model_name_or_path,
        backend=backend,
        max_completion_length=max_completion_length,
        batch_size=batch_size,
        dtype=dtype,
        device=device,
        gguf_file=gguf_file,
        model_revision=model_revision,
        trust_remote_code=trust_remote_code,
        temperature=temperature,
        seed=seed,
    )
    with resumable() as console:
        evaluation = evaluate_toolcalls(
            policy,
            outputs=outputs,
            output_dir=output_dir,
            eval_prompts=eval_prompts,
            target_words=target_words,
            console=console,
        )
    print_toolcalls(evaluation, console)
