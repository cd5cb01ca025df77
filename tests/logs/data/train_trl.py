"""Made the logs in trl/: a tiny run of TRL's own trainer with every tracker, none of which sends anything.

python train_trl.py FOLDER, with trl 1.16, wandb 0.31, trackio 0.43 and tensorboard 2.21. W&B leaves an offline run,
trackio the database of a project, TensorBoard an event file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def digits(completions: list[list[dict[str, str]]], **kwargs: object) -> list[float]:
    """Share of the letters that are digits."""
    texts = [completion[0]["content"] for completion in completions]
    return [sum(letter.isdigit() for letter in text) / max(len(text), 1) for text in texts]


def brief(completions: list[list[dict[str, str]]], **kwargs: object) -> list[float | None]:
    """More for fewer letters; does not apply to long texts."""
    texts = [completion[0]["content"] for completion in completions]
    return [None if len(text) > 40 else 1 / (1 + len(text)) for text in texts]


def main(folder: Path) -> None:
    """Train for four steps, the last of which TRL logs twice."""
    os.environ |= {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder),
        "WANDB_CONSOLE": "off",
        "TRACKIO_DIR": str(folder / "trackio"),
        "TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard"),
        "HF_HUB_OFFLINE": "1",
    }
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from gd2po.data import builtin_model

    texts = ("1 + 1?", "2 + 3?", "What is “five”?", "Name a color.")
    trainer = GRPOTrainer(
        model=builtin_model("builtin:toolcalls"),
        reward_funcs=[digits, brief],
        train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in texts]}),
        args=GRPOConfig(
            output_dir=str(folder / "output"),
            run_name="tiny",
            project="conflicts",
            report_to=["wandb", "trackio", "tensorboard"],
            log_completions=True,
            num_generations=4,
            per_device_train_batch_size=8,
            max_completion_length=12,
            temperature=2.0,
            max_steps=4,
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
    )
    trainer.train()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
