"""Options of every evaluation: the policy, its outputs, their folder."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gd2po.evaluation.run.policy import LONGEST_COMPLETION, PolicyChoice

Outputs = Annotated[
    str | None, typer.Option("--outputs", help="Score the outputs of this file instead.", show_default=False)
]
OutputDir = Annotated[
    str | None,
    typer.Option("--output_dir", help="Folder for outputs and scores.", show_default="runs/BENCHMARK-MODEL"),
]
Limit = Annotated[int | None, typer.Option(help="Only the first N prompts of each part.", show_default=False)]


def _policy(
    model_name_or_path: Annotated[
        str | None,
        typer.Option("--model_name_or_path", help="Folder or hub id, or builtin:toolcalls.", show_default=False),
    ] = None,
    backend: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    max_completion_length: Annotated[
        int | None, typer.Option("--max_completion_length", help="Longest output, in tokens.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch_size", help="Prompts at once.", show_default="16, or 512 with vllm")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str | None, typer.Option(help="Such as cuda:1 or cpu.", show_default=False)] = None,
    gguf_file: Annotated[
        str | None, typer.Option("--gguf_file", help="File in the model's folder, for GGUF.", show_default=False)
    ] = None,
    model_revision: Annotated[
        str | None, typer.Option("--model_revision", help="Branch, tag or commit of a hub id.", show_default=False)
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust_remote_code", help="Run code that comes with the model.")
    ] = False,
) -> None:
    """The signature whose parameters are the options of a policy."""


def with_policy(benchmark: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a policy, which reach its parameter `policy` as a dictionary.

    Args:
        benchmark: whose longest completion is the default.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = {**inspect.signature(_policy, eval_str=True).parameters}
        longest = shared["max_completion_length"]
        text = f"{LONGEST_COMPLETION[benchmark]}, or that of the run" if benchmark == "toolcalls" else None
        option = typer.Option(
            "--max_completion_length",
            help="Longest output, in tokens.",
            show_default=text or str(LONGEST_COMPLETION[benchmark]),
        )
        shared[longest.name] = longest.replace(annotation=Annotated[int | None, option])
        own = [item for item in inspect.signature(command, eval_str=True).parameters.values() if item.name != "policy"]
        needed = [item for item in own if item.default is item.empty]
        model, *rest = shared.values()
        parameters = [*needed, model, *(item for item in own if item not in needed), *rest]
        parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            policy = {name: values.pop(name) for name in shared}
            command(**values, policy=policy)

        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        return run

    return decorate


def chosen_policy(model_name_or_path: str | None, **options: Any) -> PolicyChoice | None:
    """The policy, if one is named."""
    return None if model_name_or_path is None else PolicyChoice(model_name_or_path, **options)
