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
from pathlib import Path
from typing import Any

import torch
from _timing import Measurement, median_milliseconds, print_table, write_json
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from update import make_batch

from gd2po import GD2POConfig, GD2POTrainer
from gd2po.data import builtin_model

MARGIN = 0.3
"""K rewards may take K and this times the plain update."""


def reward(name: str) -> Any:
    """A function that is never called: the batches here bring their advantages with them."""

    def unused(completions: list[Any], **kwargs: Any) -> list[float]:
        return [0.0] * len(completions)

    unused.__name__ = name
    return unused


def make_trainer(model: Any, tokenizer: Any, rollouts: int, rewards: int, checkpointing: bool, folder: str) -> Any:
    """A trainer whose loss is timed; it never generates."""
    settings = GD2POConfig(
        output_dir=folder, use_cpu=not torch.cuda.is_available(), bf16=False, gradient_checkpointing=checkpointing,
        num_generations=4, per_device_train_batch_size=rollouts, report_to="none", learning_rate=1e-6,
        advantage_estimator="gdpo", gradient_coordination="pcgrad",
    )  # fmt: skip
    prompts = Dataset.from_dict({"prompt": ["unused"]})
    functions = [reward(f"reward_{number}") for number in range(rewards)]
    trainer = GD2POTrainer(model, functions, settings, train_dataset=prompts, processing_class=tokenizer)
    trainer.current_gradient_accumulation_steps = 1
    trainer.create_optimizer()
    trainer.model.train()
    return trainer


def update(trainer: Any, batch: dict[str, Any]) -> None:
    """One update of the weights: coordinated if the batch holds the rewards' parts of the advantages."""
    trainer.compute_loss(trainer.model, batch).backward()
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(model: Any, tokenizer: Any, options: argparse.Namespace, folder: str) -> list[Measurement]:
    """Two rows for each number of rewards."""
    rows = []
    for rewards in options.rewards:
        trainer = make_trainer(model, tokenizer, options.rollouts, rewards, options.gradient_checkpointing, folder)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:toolcalls", help="path or hub id (default: %(default)s)")
    parser.add_argument("--gguf_file", help="file inside the model's folder, for weights in GGUF")
    parser.add_argument("--rewards", type=int, nargs="+", default=[2, 3, 5], help="numbers (default: 2 3 5)")
    parser.add_argument("--rollouts", type=int, default=64, help="per batch (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=128, help="tokens (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=128, help="tokens at most (default: %(default)s)")
    parser.add_argument("--gradient_checkpointing", action="store_true", help="activations are computed again")
    parser.add_argument("--repeats", type=int, default=7, help="rounds whose median is taken (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    path = builtin_model(options.model)
    from_gguf = {"gguf_file": options.gguf_file} if options.gguf_file else {}
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **from_gguf)
    tokenizer = AutoTokenizer.from_pretrained(path, **from_gguf)
    with tempfile.TemporaryDirectory() as folder:
        measurements = measure(model, tokenizer, options, folder)
    title = f"Update of {options.model}, {options.rollouts} rollouts, medians of {options.repeats} rounds"
    print_table(title, measurements)
    if options.json:
        write_json(options.json, title, measurements)


if __name__ == "__main__":
    main()
