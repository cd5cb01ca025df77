"""Options of every evaluation: the policy, its outputs, their folder."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gd2po.cli import run_options
from gd2po.cli.command import say_new_name
from gd2po.evaluation.run.policy import LONGEST_COMPLETION, PolicyChoice

Outputs = Annotated[
    str | None, typer.Option("--outputs", help="Score the outputs of this file instead.", show_default=False)
]
OutputDir = Annotated[str | None, run_options.output_dir("runs/BENCHMARK-MODEL")]
EvalPrompts = Annotated[
    int | None,
    typer.Option("--eval_prompts", help=run_options.EVAL_PROMPTS_HELP, show_default="all of each part"),
]


def _policy(
    model_name_or_path: run_options.ModelNameOrPath = None,
    use_vllm: Annotated[
        bool, typer.Option("--use_vllm", help="Generate with vLLM, on a GPU, and not with transformers.")
    ] = False,
    backend: Annotated[str | None, typer.Option("--backend", hidden=True)] = None,
    max_completion_length: Annotated[int | None, run_options.max_completion_length("")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch_size", help="Prompts at once.", show_default="16, or 512 with vllm")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str | None, typer.Option(help="Such as cuda:1 or cpu.", show_default=False)] = None,
    gguf_file: run_options.GgufFile = None,
    model_revision: run_options.ModelRevision = None,
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
        option = run_options.max_completion_length(text or str(LONGEST_COMPLETION[benchmark]))
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


def chosen_policy(
    model_name_or_path: str | None, *, use_vllm: bool, backend: str | None, **options: Any
) -> PolicyChoice | None:
    """The policy, if one is named."""
    if backend is not None:
        say_new_name(f"--backend {backend}", "--use_vllm, or the default")
    chosen = "vllm" if use_vllm else backend or "transformers"
    return None if model_name_or_path is None else PolicyChoice(model_name_or_path, chosen, **options)
