"""The reward functions of a run on eight rollouts of its start policy, before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from gd2po.evaluation.generation.generate import TransformersPolicy, encode_prompts, new_tokens_that_fit
from gd2po.rewards.check.report import RewardFunctionReport
from gd2po.rewards.check.rollouts import check_on_rollouts
from gd2po.rewards.protocol import Completion

ROLLOUTS: Final = 8
FURTHER_ROWS: Final = 64
"""Rows of the data set that a reward is tried on if it applies to none of the rollouts."""
MOST_TOKENS: Final = 512
"""Of a rollout, so that the check stays one of seconds."""


def check_rewards_of(trainer: Any, reward_funcs: Sequence[Any], dataset: Any, console: Console) -> None:
    """Check the reward functions on rollouts of the trainer's policy and print what there is to warn about.

    The run is the same afterwards: the random state is put back.

    Raises:
        RewardFunctionError: a reward can never teach anything.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        console.print("Rewards are not checked beforehand: the weights of the policy are spread over processes.")
        return
    if trainer.accelerator.is_main_process and reward_funcs:
        with console.status("Checking the rewards on rollouts of the start policy ..."):
            rows = spread_rows(dataset, ROLLOUTS)
            completions = sample_rollouts(
                trainer.accelerator.unwrap_model(trainer.model),
                trainer.processing_class,
                [row["prompt"] for row in rows],
                max_new_tokens=trainer.args.max_completion_length,
                temperature=trainer.args.temperature,
                seed=trainer.args.seed,
            )
            further = spread_rows(dataset, FURTHER_ROWS)
            reports = [check_on_rollouts(func, completions, rows, further) for func in reward_funcs]
        print_warnings(reports, console)
    trainer.accelerator.wait_for_everyone()


def sample_rollouts(
    model: Any, tokenizer: Any, prompts: Sequence[Any], *, max_new_tokens: int | None, temperature: float, seed: int
) -> list[Completion]:
    """A rollout of each prompt, as TRL passes them to reward functions; at most `MOST_TOKENS` long."""
    encoded = encode_prompts(tokenizer, prompts)
    policy = TransformersPolicy(model, tokenizer, temperature=temperature, seed=seed)
    room = new_tokens_that_fit(policy.context, encoded, min(max_new_tokens or MOST_TOKENS, MOST_TOKENS))
    texts = policy.complete(encoded, room)
    return [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def spread_rows(dataset: Any, count: int) -> list[dict[str, Any]]:
    """So many rows of a data set, spread evenly; those of a smaller one over and over."""
    size = len(dataset)
    return [dataset[row * size // count if size >= count else row % size] for row in range(count)]


def print_warnings(reports: Sequence[RewardFunctionReport], console: Console) -> None:
    """Print what was found, a paragraph each."""
    for report in reports:
        for warning in report.warnings:
            console.print(f"[yellow]Warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
