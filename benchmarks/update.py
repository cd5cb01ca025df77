"""Time of the policy update with and without `skip_zero_advantage`, at several shares of kept rollouts, in one run.

    python benchmarks/update.py
    python benchmarks/update.py --model PATH_OR_ID [--gguf_file FILE] --rollouts 8
    python benchmarks/update.py --smollm2-135m --bf16 --prompt 256 --completion 256

An update is forward, TRL's loss, backward and optimizer step of `GD2POTrainer` on one batch of rollouts whose
completions have random lengths. Which rollouts have an advantage of 0 is drawn at random.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from typing import Any

from _timing import Measurement, median_milliseconds, report
from _updates import load_model, load_tokenizer, make_batch, make_trainer, parsed, parser_of, update
from transformers import LlamaConfig, LlamaForCausalLM

from gd2po import GD2POTrainer

KEEP_RATES = (0.25, 0.5, 0.75, 1.0)
LIMITS = {0.5: 0.55, 1.0: 1.02}
"""At half the rollouts at most 0.55 of the time, at all of them at most 2 % more."""


def no_reward(completions: list[Any], **kwargs: Any) -> list[float]:
    """The batches here bring their advantages with them."""
    return [0.0] * len(completions)


def random_smollm2() -> LlamaForCausalLM:
    """A model of SmolLM2-135M's shape with random weights: enough to time it."""
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def skipping_update(trainer: GD2POTrainer, batch: dict[str, Any], skip: bool) -> None:
    trainer._skips = None if skip else False
    update(trainer, batch)


def measure(trainer: GD2POTrainer, options: argparse.Namespace) -> list[Measurement]:
    """Two rows for each share of kept rollouts."""
    rows = []
    for keep in KEEP_RATES:
        batch = make_batch(trainer, options.rollouts, options.prompt, options.completion, keep)
        times = median_milliseconds(
            {name: partial(skipping_update, trainer, batch, name == "skipping") for name in ("plain", "skipping")},
            options.repeats,
        )
        ratio, limit = times["skipping"] / times["plain"], LIMITS.get(keep)
        rows.append(Measurement(f"keep {keep:.0%}, all rollouts", times["plain"]))
        rows.append(
            Measurement(
                f"keep {keep:.0%}, skipping", times["skipping"], ratio,
                f"<= {limit}x" if limit else "", ratio <= limit if limit else None,
            )
        )  # fmt: skip
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--smollm2-135m", action="store_true", help="a model of that shape with random weights instead")
    parser.add_argument("--bf16", action="store_true", help="multiply in bfloat16, on a GPU")
    options = parsed(parser)

    tokenizer = load_tokenizer(options)
    if options.smollm2_135m:
        model, options.model = random_smollm2(), "a random SmolLM2-135M"
    else:
        model = load_model(options)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(model, tokenizer, no_reward, options.rollouts, folder, bf16=options.bf16)
        measurements = measure(trainer, options)
    title = f"Update of {options.model}, {options.rollouts} rollouts, medians of {options.repeats} rounds"
    report(title, measurements, options.json)


if __name__ == "__main__":
    main()
