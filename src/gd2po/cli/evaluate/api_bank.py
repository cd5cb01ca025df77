"""`gd2po evaluate api-bank`."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.cli.evaluate import options
from gd2po.cli.options import needing, resumable
from gd2po.cli.parsing import parse_levels
from gd2po.evaluation.run.policy import LONGEST_COMPLETION


def api_bank(
    data: Annotated[str, typer.Option(help="Folder with level-1-api_processed.json and so on.")],
    model_name_or_path: options.Model = None,
    levels: Annotated[str, typer.Option(help="Which levels.")] = "1,2,3",
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    limit: options.Limit = None,
    backend: options.Backend = "transformers",
    max_completion_length: options.MaxCompletionLength = LONGEST_COMPLETION["api-bank"],
    batch_size: options.BatchSize = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    gguf_file: options.GgufFile = None,
    model_revision: options.ModelRevision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score tool calls on API-Bank: accuracy, format and length of thought, per level and overall."""
    with needing("evaluate api-bank", "trl"):
        from gd2po.evaluation.run.api_bank import evaluate_api_bank
        from gd2po.evaluation.run.terminal import print_api_bank

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
    )
    with resumable() as console:
        evaluation = evaluate_api_bank(
            data,
            policy,
            outputs=outputs,
            output_dir=output_dir,
            levels=parse_levels(levels),
            limit=limit,
            console=console,
        )
    print_api_bank(evaluation, console)
