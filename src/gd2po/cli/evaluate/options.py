"""Options of every evaluation: the policy, its outputs, their folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gd2po.evaluation.run.policy import PolicyChoice

Model = Annotated[
    str | None,
    typer.Option("--model_name_or_path", help="Folder or hub id, or builtin:toolcalls.", show_default=False),
]
Outputs = Annotated[
    str | None, typer.Option("--outputs", help="Score the outputs of this file instead.", show_default=False)
]
OutputDir = Annotated[
    str | None,
    typer.Option("--output_dir", help="Folder for outputs and scores.", show_default="runs/BENCHMARK-MODEL"),
]
Limit = Annotated[int | None, typer.Option(help="The first so many prompts of each part only.", show_default=False)]
Backend = Annotated[str, typer.Option(help="transformers or vllm.")]
MaxCompletionLength = Annotated[int, typer.Option("--max_completion_length", help="Longest output, in tokens.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch_size", help="Prompts at once.", show_default="16, or 512 with vllm")
]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str | None, typer.Option(help="Such as cuda:1 or cpu.", show_default=False)]
GgufFile = Annotated[
    str | None, typer.Option("--gguf_file", help="File in the model's folder, for GGUF.", show_default=False)
]
ModelRevision = Annotated[
    str | None, typer.Option("--model_revision", help="Branch, tag or commit of a hub id.", show_default=False)
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust_remote_code", help="Run code that comes with the model.")]


def chosen_policy(model_name_or_path: str | None, **options: Any) -> PolicyChoice | None:
    """The policy, if one is named."""
    return None if model_name_or_path is None else PolicyChoice(model_name_or_path, **options)
