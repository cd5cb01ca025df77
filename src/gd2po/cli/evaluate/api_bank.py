"""`gd2po evaluate api-bank`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gd2po.cli import run_options
from gd2po.cli.evaluate import options
from gd2po.cli.evaluate.parsing import parse_levels
from gd2po.cli.options import needing, resumable


@options.with_policy("api-bank")
def api_bank(
    dataset_name: Annotated[str, run_options.dataset_name("the folder with level-1-api_processed.json and so on")],
    *,
    levels: Annotated[str, typer.Option(help="Which levels.")] = "1,2,3",
    outputs: options.Outputs = None,
    output_dir: options.OutputDir = None,
    eval_prompts: options.EvalPrompts = None,
    policy: dict[str, Any],
) -> None:
    """Score tool calls on API-Bank: accuracy, format and length of thought, per level and overall."""
    with needing("evaluate api-bank", "trl"):
        from gd2po.evaluation.run.api_bank import evaluate_api_bank
        from gd2po.evaluation.run.terminal import print_api_bank

    chosen = options.chosen_policy(**policy)
    with resumable() as console:
        evaluation = evaluate_api_bank(
            dataset_name,
            chosen,
            outputs=outputs,
            output_dir=output_dir,
            levels=parse_levels(levels),
            eval_prompts=eval_prompts,
            console=console,
        )
    print_api_bank(evaluation, console)
