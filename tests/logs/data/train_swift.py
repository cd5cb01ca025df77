"""Made the log in swift/: a tiny run of ms-swift 4.6.0, `python train_swift.py FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

REWARDS = '''
from swift.rewards import ORM, orms


class Digits(ORM):
    """Share of the letters that are digits."""

    def __call__(self, completions, **kwargs):
        return [sum(letter.isdigit() for letter in text) / max(len(text), 1) for text in completions]


class Brief(ORM):
    """More for fewer letters; does not apply to long texts."""

    def __call__(self, completions, **kwargs):
        return [None if len(text) > 60 else 1 / (1 + len(text)) for text in completions]


orms.update(digits=Digits, brief=Brief)
'''
TEXTS = ("1 + 1?", "2 + 3?", "What is “five”?", "Name a color.")
ARGUMENTS = """
--rlhf_type grpo --model_type llama --template default --tuner_type full --torch_dtype float32 --use_cpu true
--reward_funcs digits brief --reward_weights 1 0.5 --num_generations 4 --max_completion_length 12 --temperature 2
--per_device_train_batch_size 8 --gradient_accumulation_steps 1 --steps_per_generation 2 --max_steps 4
--logging_steps 1 --log_completions true --report_to none --save_strategy no --beta 0 --split_dataset_ratio 0
--add_version false --gradient_checkpointing false --dataloader_num_workers 0 --attn_impl sdpa
"""


def main(folder: Path) -> None:
    """Train for four steps on two generated batches, each of which is logged at both of its steps."""
    from swift.pipelines import rlhf_main

    from gd2po.data import builtin_model

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rewards.py").write_text(REWARDS)
    rows = [{"messages": [{"role": "user", "content": text}], "solution": text[0]} for text in TEXTS]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = {
        "external_plugins": folder / "rewards.py",
        "model": builtin_model("builtin:toolcalls"),
        "dataset": folder / "train.jsonl",
        "output_dir": folder / "output",
    }
    rlhf_main([*ARGUMENTS.split(), *(part for name, path in paths.items() for part in (f"--{name}", str(path)))])
    arguments = json.loads((folder / "output" / "args.json").read_text())
    kept = {name: value for name, value in arguments.items() if "reward" in name}  # of 500, many of them paths
    (folder / "output" / "args.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
