"""What the benchmarks of the policy update share: a model, a trainer whose loss is timed, and batches for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po import GD2POConfig, GD2POTrainer
from gd2po.data import builtin_model


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options that they all take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:toolcalls", help="path or hub id (default: %(default)s)")
    parser.add_argument("--gguf_file", help="file inside the model's folder, for weights in GGUF")
    parser.add_argument("--rollouts", type=int, default=64, help="per batch (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=128, help="tokens (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=128, help="tokens at most (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds whose median is taken (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, with torch's threads and draws set."""
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def load_model(options: argparse.Namespace) -> Any:
    return _load(AutoModelForCausalLM, options, dtype=torch.float32)


def load_tokenizer(options: argparse.Namespace) -> Any:
    return _load(AutoTokenizer, options)


def _load(kind: Any, options: argparse.Namespace, **given: Any) -> Any:
    from_gguf = {"gguf_file": options.gguf_file} if options.gguf_file else {}
    return kind.from_pretrained(builtin_model(options.model), **given, **from_gguf)


def make_trainer(
    model: Any, tokenizer: Any, reward_funcs: Any, rollouts: int, folder: str, **config: Any
) -> GD2POTrainer:
    """A trainer whose loss is timed; it never generates."""
    settings = GD2POConfig(
        output_dir=folder, use_cpu=not torch.cuda.is_available(), num_generations=4,
        per_device_train_batch_size=rollouts, report_to="none", learning_rate=1e-6,
        **{"bf16": False, "gradient_checkpointing": False, **config},
    )  # fmt: skip
    prompts = Dataset.from_dict({"prompt": ["unused"]})
    trainer = GD2POTrainer(model, reward_funcs, settings, train_dataset=prompts, processing_class=tokenizer)
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


def update(trainer: GD2POTrainer, batch: dict[str, Any]) -> None:
    """One update of the weights."""
    trainer.compute_loss(trainer.model, batch).backward()
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
