"""Time of the policy update with one gradient per reward (`gradient_coordination`), against the plain one, in one run.

    python benchmarks/coordination.py
    python benchmarks/coordination.py --model PATH_OR_ID [--gguf_file FILE] --rollouts 8

An update is forward, TRL's loss, backward and optimizer step of `GD2POTrainer` on one batch of rollouts whose
completions have random lengths; every rollout has an advantage under every reward.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from typing import Any

import torch
from _timing import Measurement, median_milliseconds, report
from _updates import load_model, load_tokenizer, make_batch, make_trainer, parsed, parser_of, update

MARGIN = 0.3
"""K rewards may take K and this times the plain update."""


def reward(name: str) -> Any:
    """A function that is never called: the batches here bring their advantages with them."""

    def unused(completions: list[Any], **kwargs: Any) -> list[float]:
        return [0.0] * len(completions)

    unused.__name__ = name
    return unused


def measure(model: Any, tokenizer: Any, options: argparse.Namespace, folder: str) -> list[Measurement]:
    """Two rows for each number of rewards."""
    rows = []
    for rewards in options.rewards:
        functions = [reward(f"reward_{number}") for number in range(rewards)]
        trainer = make_trainer(
            model, tokenizer, functions, options.rollouts, folder, advantage_estimator="gdpo",
            gradient_coordination="pcgrad", gradient_checkpointing=options.gradient_checkpointing,
        )  # fmt: skip
        plain = make_batch(trainer, options.rollouts, options.prompt, options.completion, keep=1.0)
        parts = torch.randn(options.rollouts, rewards, device=plain["advantages"].device)
        coordinated = {**plain, "advantages": parts.sum(1), "advantage_components": parts}
        batches = {"plain": plain, "coordinated": coordinated}
        times = median_milliseconds(
            {name: partial(update, trainer, batch) for name, batch in batches.items()}, options.repeats
        )
        ratio = times["coordinated"] / times["plain"]
        rows.append(Measurement(f"{rewards} rewards, plain", times["plain"]))
        limit = rewards + MARGIN
        rows.append(
            Measurement(f"{rewards} rewards, pcgrad", times["coordinated"], ratio, f"<= {limit}x", ratio <= limit)
        )
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rewards", type=int, nargs="+", default=[2, 3, 5], help="numbers (default: 2 3 5)")
    parser.add_argument("--gradient_checkpointing", action="store_true", help="activations are computed again")
    options = parsed(parser)

    model, tokenizer = load_model(options), load_tokenizer(options)
    with tempfile.TemporaryDirectory() as folder:
        measurements = measure(model, tokenizer, options, folder)
    title = f"Update of {options.model}, {options.rollouts} rollouts, medians of {options.repeats} rounds"
    report(title, measurements, options.json)


if __name__ == "__main__":
    main()
