"""A run of seconds with a real trainer: its settings, and rewards of the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tiny_settings(folder: Path, **changed: Any) -> dict[str, Any]:
    """Settings of TRL's for two steps of 16 rollouts on a CPU, in the folder `run`."""
    return {
        "output_dir": str(folder / "run"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "num_generations": 4,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 8,
        "max_steps": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "learning_rate": 1e-3,
        **changed,
    }


def length(completions: list[str], **kwargs: Any) -> list[float]:
    return [len(text) / 10 for text in completions]


def vowels(completions: list[str], **kwargs: Any) -> list[float]:
    return [float(sum(letter in "aeiou" for letter in text)) for text in completions]


def brevity(completions: list[str], **kwargs: Any) -> list[float]:
    return [-len(text) / 10 - text.count("e") for text in completions]
