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
from pathlib import Path
from typing import Any

import torch
from _timing import Measurement, median_milliseconds, print_table, write_json
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gd2po import GD2POConfig, GD2POTrainer
from gd2po.data import builtin_model

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


def make_trainer(model: Any, tokenizer: Any, rollouts: int, folder: str, bf16: bool) -> GD2POTrainer:
    """A trainer whose loss is timed; it never generates."""
    settings = GD2POConfig(
        output_dir=folder, use_cpu=not torch.cuda.is_available(), bf16=bf16, gradient_checkpointing=False,
        num_generations=4, per_device_train_batch_size=rollouts, report_to="none", learning_rate=1e-6,
    )  # fmt: skip
    prompts = Dataset.from_dict({"prompt": ["unused"]})
    trainer = GD2POTrainer(model, no_reward, settings, train_dataset=prompts, processing_class=tokenizer)
    trainer.current_gradient_accumulation_steps = 1
    trainer.create_optimizer()
    trainer.model.train()
    return trainer


def make_batch(trainer: GD2POTrainer, rollouts: int, prompt: int, completion: int, keep: float) -> dict[str, Any]:
    """Rollouts with random tokens and lengths, of which a share `keep` has an advantage."""
    device = trainer.accelerator.device
    lengths = torch.randint(completion // 4, completion + 1, (rollouts,))
    mask = (torch.arange(completion) < lengths[:, None]).long()
    advantages = torch.randn(rollouts)
    advantages[torch.randperm(rollouts)[round(keep * rollouts) :]] = 0
    vocabulary = trainer.model.config.vocab_size
    batch = {
        "prompt_ids": torch.randint(vocabulary, (rollouts, prompt)),
        "prompt_mask": torch.ones(rollouts, prompt, dtype=torch.long),
        "completion_ids": torch.randint(vocabulary, (rollouts, completion)),
        "completion_mask": mask,
        "advantages": advantages,
        "num_items_in_batch": mask.sum(),
    }
    return {name: value.to(device) for name, value in batch.items()}


def update(trainer: GD2POTrainer, batch: dict[str, Any], skip: bool) -> None:
    """One update of the weights."""
    trainer._skips = None if skip else False
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(trainer: GD2POTrainer, options: argparse.Namespace) -> list[Measurement]:
    """Two rows for each share of kept rollouts."""
    rows = []
    for keep in KEEP_RATES:
        batch = make_batch(trainer, options.rollouts, options.prompt, options.completion, keep)
        times = median_milliseconds(
            {name: partial(update, trainer, batch, name == "skipping") for name in ("plain", "skipping")},
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:toolcalls", help="path or hub id (default: %(default)s)")
    parser.add_argument("--gguf_file", help="file inside the model's folder, for weights in GGUF")
    parser.add_argument("--smollm2-135m", action="store_true", help="a model of that shape with random weights instead")
    parser.add_argument("--bf16", action="store_true", help="multiply in bfloat16, on a GPU")
    parser.add_argument("--rollouts", type=int, default=64, help="per batch (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=128, help="tokens (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=128, help="tokens at most (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds whose median is taken (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    path = builtin_model(options.model)
    from_gguf = {"gguf_file": options.gguf_file} if options.gguf_file else {}
    if options.smollm2_135m:
        model, options.model = random_smollm2(), "a random SmolLM2-135M"
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **from_gguf)
    tokenizer = AutoTokenizer.from_pretrained(path, **from_gguf)
    with tempfile.TemporaryDirectory() as folder:
        measurements = measure(make_trainer(model, tokenizer, options.rollouts, folder, options.bf16), options)
    title = f"Update of {options.model}, {options.rollouts} rollouts, medians of {options.repeats} rounds"
    print_table(title, measurements)
    if options.json:
        write_json(options.json, title, measurements)


if __name__ == "__main__":
    main()
