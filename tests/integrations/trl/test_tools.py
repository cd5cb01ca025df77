"""Tool calls inside a rollout: TRL parses the call, runs the tool and generates on; one advantage for all of it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset
from transformers import LlamaForCausalLM
from trl.chat_template_utils import qwen3_chat_template

from gd2po import GD2POConfig, GD2POTrainer

CALL = '<tool_call>\n{"name": "multiply", "arguments": {"a": 6, "b": 7}}\n</tool_call>'
ANSWERS = ["It is 42.", "42", "I do not know, sorry.", "The product of the two numbers is 42."]


def answered(completions: list[list[dict[str, Any]]], **kwargs: Any) -> list[float]:
    return [float("42" in turns[-1]["content"]) for turns in completions]


def brief(completions: list[list[dict[str, Any]]], **kwargs: Any) -> list[float]:
    return [-float(len(turns[-1]["content"])) for turns in completions]


ASKED, DEAD = "What is 6 times 7?", "Say 42."


def multiply(a: int, b: int) -> int:
    """
    Multiplies two numbers.

    Args:
        a: The first one.
        b: The second one.

    Returns:
        Their product.
    """
    return a * b


@pytest.fixture
def tool_trainer(tiny_model: Any, tokenizer: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a trainer whose policy asks for the tool, and answers when it has the result; DEAD it answers at once."""
    tokenizer = deepcopy(tokenizer)
    tokenizer.chat_template = qwen3_chat_template

    def generate(self: Any, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        texts, answered_rows = [], 0
        for prompt in tokenizer.batch_decode(input_ids):
            if DEAD in prompt:
                texts.append("42")
            elif "<tool_response>" in prompt.split("What is 6 times 7")[1]:
                texts.append(ANSWERS[answered_rows % 4])
                answered_rows += 1
            else:
                texts.append(CALL)
        ids = [tokenizer.encode(text + "<|im_end|>") for text in texts]
        width = max(map(len, ids))
        padded = [row + [tokenizer.pad_token_id] * (width - len(row)) for row in ids]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)

    def make(questions: list[str], groups: int, **options: Any) -> GD2POTrainer:
        settings = GD2POConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=4,
            per_device_train_batch_size=4 * groups, max_completion_length=256, max_steps=1, logging_steps=1,
            save_strategy="no", report_to="none", disable_tqdm=True, learning_rate=1e-3, whitening="tokens",
            filtering="hard", log_rollouts=True, **options,
        )  # fmt: skip
        prompts = [[{"role": "user", "content": question}] for question in questions]
        return GD2POTrainer(
            tiny_model, [answered, brief], settings, train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer, tools=[multiply],
        )  # fmt: skip

    return make


def own_tokens(trainer: GD2POTrainer) -> list[int]:
    """Tokens of the four rollouts without what the tool said, which carries no loss."""
    encode = trainer.processing_class.encode
    return [len(encode(CALL + "<|im_end|>" + answer + "<|im_end|>")) for answer in ANSWERS]


def test_a_rollout_with_a_tool_call_trains(tool_trainer: Any, tiny_model: Any, tmp_path: Any) -> None:
    before = [parameter.detach().clone() for parameter in tiny_model.parameters()]
    trainer = tool_trainer([ASKED] * 4, groups=1)
    trainer.train()
    entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["tools/call_frequency"] == 1
    assert entry["conflict/rate"] > 0
    rollouts = pd.read_parquet(tmp_path / "rollouts")
    assert rollouts["completion"].str.contains("42").all()  # the tool's result is part of the rollout
    assert rollouts["reward/answered"].tolist() == [1, 1, 0, 1]
    assert rollouts["completion_tokens"].tolist() == own_tokens(trainer)
    assert any(not torch.equal(old, new) for old, new in zip(before, tiny_model.parameters(), strict=True))


def test_groups_without_signal_give_way_to_groups_with_tool_calls(tool_trainer: Any, tmp_path: Any) -> None:
    trainer = tool_trainer([DEAD] * 3 + [ASKED] * 3, groups=2, dynamic_sampling=True)
    trainer.train()
    entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["conflict/num_gen_batches"] > 1
    assert entry["conflict/drawn_zero_signal_group_rate"] > 0
    assert entry["conflict/zero_signal_group_rate"] == 0
    rollouts = pd.read_parquet(tmp_path / "rollouts")
    assert rollouts["prompt"].str.contains("6 times 7").all()
    assert rollouts["reward/answered"].tolist() == [1, 1, 0, 1] * 2
    assert rollouts["completion_tokens"].tolist() == own_tokens(trainer) * 2
