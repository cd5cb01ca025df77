"""A real trainer on a tiny model: what every test here runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_runs import tiny_settings


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    from gd2po.data import builtin_model

    return AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))


@pytest.fixture
def tiny_model(tokenizer: Any) -> Any:
    """One layer, random weights, the same in every test."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def prompts() -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"prompt": [f"Say something about number {n}." for n in range(16)]})


@pytest.fixture
def make_trainer(tiny_model: Any, tokenizer: Any, prompts: Any, tmp_path: Any) -> Any:
    """A GD2POTrainer on the tiny model; keywords go to GD2POConfig, the data sets aside."""
    from gd2po import GD2POConfig, GD2POTrainer

    def make(
        reward_funcs: Any,
        *,
        dataset: Any = None,
        eval_dataset: Any = None,
        peft_config: Any = None,
        reward_processing_classes: Any = None,
        **config: Any,
    ) -> Any:
        return GD2POTrainer(
            model=tiny_model,
            reward_funcs=reward_funcs,
            args=GD2POConfig(**tiny_settings(tmp_path, **config)),
            train_dataset=prompts if dataset is None else dataset,
            eval_dataset=eval_dataset,
            processing_class=tokenizer,
            peft_config=peft_config,
            reward_processing_classes=reward_processing_classes,
        )

    return make
