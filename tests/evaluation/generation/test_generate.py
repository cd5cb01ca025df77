from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.data import builtin_model, load_toolcalls
from gd2po.errors import DataFormatError
from gd2po.evaluation.generation.generate import generate_completions


@pytest.fixture(scope="module")
def policy() -> tuple[Any, Any]:
    path = builtin_model("builtin:toolcalls")
    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def test_greedy_completions_do_not_depend_on_batch_or_order(policy: tuple[Any, Any]) -> None:
    prompts = load_toolcalls("test", 12)["prompt"]
    one_by_one = generate_completions(*policy, prompts, max_new_tokens=24, batch_size=1)
    together = generate_completions(*policy, prompts, max_new_tokens=24, batch_size=5)
    backwards = generate_completions(*policy, prompts[::-1], max_new_tokens=24, batch_size=12)
    assert together == one_by_one
    assert backwards[::-1] == one_by_one
    assert all(text.startswith("<think>") for text in one_by_one)


def test_sampling_differs_from_greedy_and_follows_the_seed(policy: tuple[Any, Any]) -> None:
    prompts = load_toolcalls("test", 8)["prompt"]

    def sample(seed: int) -> list[str]:
        torch.manual_seed(seed)
        return generate_completions(*policy, prompts, max_new_tokens=24, temperature=1.0)

    assert sample(0) == sample(0)
    assert sample(0) != sample(1)


def test_progress_is_told_and_the_mode_of_the_model_is_kept(policy: tuple[Any, Any]) -> None:
    model, tokenizer = policy
    model.train()
    done: list[int] = []
    prompts = load_toolcalls("test", 5)["prompt"]
    generate_completions(model, tokenizer, prompts, max_new_tokens=2, batch_size=2, on_batch=done.append)
    assert done == [2, 2, 1]
    assert model.training
    model.eval()


def test_plain_text_prompts_need_no_chat_template(policy: tuple[Any, Any]) -> None:
    model, tokenizer = policy
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        assert len(generate_completions(model, tokenizer, ["Once", "Twice upon"], max_new_tokens=3)) == 2
        with pytest.raises(DataFormatError, match="no chat template"):
            generate_completions(model, tokenizer, [[{"role": "user", "content": "hi"}]], max_new_tokens=3)
    finally:
        tokenizer.chat_template = template
