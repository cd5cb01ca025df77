"""Two steps of the trainer with completions that are the same however many processes share them; see test_processes.py.

python process_worker.py FOLDER ROLLOUTS [ROLLOUTS ...]

Each number of rollouts, which the processes share, is trained on twice: into FOLDER/ROLLOUTS/plain, and with dynamic
sampling into FOLDER/ROLLOUTS/dynamic.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gd2po import GD2POConfig, GD2POTrainer
from gd2po.data import builtin_model

LONGEST = 8


def generate(self: Any, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    """Completions that depend on the place of the rollout in the whole batch, and on nothing else."""
    first = PartialState().process_index * len(input_ids)
    completions = torch.full((len(input_ids), LONGEST), self.config.eos_token_id)
    for row in range(len(input_ids)):
        length = 1 + (first + row) * 5 % (LONGEST - 1)
        completions[row, :length] = 300 + torch.arange(length) * 7 + (first + row) % 3
    return torch.cat([input_ids, completions], dim=1)


def length(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    return [float(len(ids)) for ids in completion_ids]


def kind(completion_ids: list[list[int]], **kwargs: Any) -> list[float | None]:
    return [None if len(ids) == 4 else -float(ids[0] % 3) for ids in completion_ids]


def on_some_prompts(reward: Any) -> Any:
    """The reward, which is the same for all rollouts of every third prompt."""

    def partly(prompts: list[str], **kwargs: Any) -> list[float | None]:
        scores = reward(prompts=prompts, **kwargs)
        return [
            0.0 if int(prompt.split()[-1].rstrip(".")) % 3 == 0 else score
            for prompt, score in zip(prompts, scores, strict=True)
        ]

    partly.__name__ = reward.__name__
    return partly


def train(output_dir: Path, rollouts_per_process: int, *, dynamic: bool) -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    arguments = GD2POConfig(
        output_dir=str(output_dir), use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=4,
        per_device_train_batch_size=rollouts_per_process, max_completion_length=LONGEST, max_steps=2, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True, optim="sgd", learning_rate=0.1, max_grad_norm=0.0,
        snr_threshold=0.6, whitening="tokens", reward_weights=[1.0, 0.5], log_rollouts=True, seed=3,
        dynamic_sampling=dynamic, max_num_gen_batches=8,
    )  # fmt: skip
    rewards = [length, kind]
    trainer = GD2POTrainer(
        model=LlamaForCausalLM(config),
        reward_funcs=[on_some_prompts(reward) for reward in rewards] if dynamic else rewards,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [f"Say something about number {n}." for n in range(16)]}),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_state()
    trainer.save_model()


def main(folder: str, *numbers: str) -> None:
    torch.set_num_threads(1)
    LlamaForCausalLM.generate = generate
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    for rollouts in map(int, numbers):
        for name in ("plain", "dynamic"):
            train(Path(folder, str(rollouts), name), rollouts // processes, dynamic=name == "dynamic")


if __name__ == "__main__":
    main(*sys.argv[1:])
