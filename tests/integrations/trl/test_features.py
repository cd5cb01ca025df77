"""What else a TRL user has in a run goes on working: one small real run each."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForSequenceClassification


def length(completions: list[Any], **kwargs: Any) -> list[float]:
    return [float(len(str(completion))) for completion in completions]


def vowels(completions: list[Any], **kwargs: Any) -> list[float]:
    return [float(sum(letter in "aeiou" for letter in str(completion))) for completion in completions]


def train(trainer: Any) -> list[dict[str, Any]]:
    trainer.train()
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def test_lora_trains_the_adapter_alone(make_trainer: Any) -> None:
    peft_config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer([length, vowels], peft_config=peft_config, filtering="hard")
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    log = train(trainer)
    assert "conflict/skipped_rows" in log[0]
    changed = {name for name, value in trainer.model.named_parameters() if not torch.equal(before[name], value)}
    assert changed
    assert all("lora_" in name for name in changed)


@pytest.mark.parametrize("options", [{"bf16": True}, {"gradient_checkpointing": True}])
def test_the_options_that_save_memory_train(make_trainer: Any, tiny_model: Any, options: dict[str, Any]) -> None:
    before = [parameter.detach().clone() for parameter in tiny_model.parameters()]
    log = train(make_trainer([length, vowels], **options))
    assert len(log) == 2
    assert any(not torch.equal(old, new) for old, new in zip(before, tiny_model.parameters(), strict=True))


def test_conversational_prompts_train(make_trainer: Any) -> None:
    turns = [[{"role": "user", "content": f"Say something about number {n}."}] for n in range(16)]
    trainer = make_trainer([length, vowels], dataset=Dataset.from_dict({"prompt": turns}), log_rollouts=True)
    train(trainer)
    rollouts = pd.read_parquet(f"{trainer.args.output_dir}/rollouts")
    assert rollouts["prompt"].str.startswith("user: Say something").all()


def test_a_reward_model_scores_beside_a_function(make_trainer: Any, tokenizer: Any) -> None:
    torch.manual_seed(1)
    reward_model = LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2, num_labels=1, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    reward_model.config._name_or_path = "judges/helpful"
    trainer = make_trainer([length, reward_model], reward_processing_classes=[None, tokenizer], log_rollouts=True)
    log = train(trainer)
    assert "conflict/retained/helpful" in log[0]
    rollouts = pd.read_parquet(f"{trainer.args.output_dir}/rollouts")
    assert rollouts["reward/helpful"].nunique() > 10


def test_a_generation_batch_may_serve_several_steps(make_trainer: Any) -> None:
    trainer = make_trainer(
        [length, vowels],
        advantage_estimator="gd2po",
        per_device_train_batch_size=8,
        steps_per_generation=4,
        max_steps=4,
        log_rollouts=True,
    )
    (entry,) = train(trainer)  # rewards are logged where rollouts are generated
    assert entry["conflict/rate"] > 0
    assert trainer.state.global_step == 4
    rollouts = pd.read_parquet(f"{trainer.args.output_dir}/rollouts")
    assert rollouts.groupby("step").size().to_dict() == {1: 32}


def test_a_reward_that_applies_to_no_rollout_of_some_groups_trains(make_trainer: Any) -> None:
    def first_group_only(completions: list[Any], **kwargs: Any) -> list[float | None]:
        return [float(len(str(text))) if row < 4 else None for row, text in enumerate(completions)]

    trainer = make_trainer([vowels, first_group_only], log_rollouts=True, max_steps=1)
    (entry,) = train(trainer)
    assert entry["conflict/retained/first_group_only"] <= 1
    rollouts = pd.read_parquet(f"{trainer.args.output_dir}/rollouts")
    assert rollouts["reward/first_group_only"].notna().sum() == 4
