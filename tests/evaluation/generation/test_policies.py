"""Backends, on the built-in policy, models saved here, and a stand-in for vLLM."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gd2po.data import builtin_model, load_toolcalls
from gd2po.errors import ConfigError, DataFormatError, InvalidInputError, MissingDependencyError
from gd2po.evaluation.generation.generate import encode_prompts, generate_completions, new_tokens_that_fit
from gd2po.evaluation.generation.policies import load_policy

BUILTIN = builtin_model("builtin:toolcalls")


def test_a_policy_completes_as_the_function_does() -> None:
    policy = load_policy(BUILTIN, device="cpu")
    prompts = load_toolcalls("test", 3)["prompt"]
    encoded = encode_prompts(policy.tokenizer, prompts)
    expected = generate_completions(policy.model, policy.tokenizer, prompts, max_new_tokens=12)  # type: ignore[attr-defined]
    assert policy.complete(encoded, 12) == expected
    assert policy.context == 1024


def test_samples_are_those_of_the_seed_and_leave_the_random_state_alone() -> None:
    prompts = load_toolcalls("test", 2)["prompt"]
    texts = {}
    before = torch.get_rng_state()
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        policy = load_policy(BUILTIN, device="cpu", temperature=1.0, seed=seed)
        texts[name] = policy.complete(encode_prompts(policy.tokenizer, prompts), 32)
    assert texts["one"] == texts["again"] != texts["two"]
    assert torch.equal(torch.get_rng_state(), before)


def test_dtype_is_that_of_the_option() -> None:
    policy: Any = load_policy(BUILTIN, device="cpu", dtype="bfloat16")
    assert str(policy.model.dtype) == "torch.bfloat16"


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    save_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no file named model\.safetensors"):
        load_policy(str(tmp_path), device="cpu")


def test_a_tokenizer_without_pad_token_pads_with_the_end(tmp_path: Path) -> None:
    save_model(tmp_path, pad_token=None)
    policy = load_policy(str(tmp_path), device="cpu")
    assert len(policy.complete([[5], [5, 6, 7]], 2)) == 2
    save_model(tmp_path, pad_token=None, eos_token=None)
    with pytest.raises(DataFormatError, match="neither a pad nor an end token"):
        load_policy(str(tmp_path), device="cpu")


def test_a_model_without_chat_template_is_named_when_prompts_are_messages(tmp_path: Path) -> None:
    save_model(tmp_path, chat_template=None)
    tokenizer = load_policy(str(tmp_path), device="cpu").tokenizer
    assert encode_prompts(tokenizer, ["plain"])
    with pytest.raises(DataFormatError, match="the tokenizer has no chat template. Use a chat"):
        encode_prompts(tokenizer, load_toolcalls("test", 1)["prompt"])


def test_long_prompts_keep_their_end() -> None:
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN)
    (whole,) = encode_prompts(tokenizer, ["one two three four"])
    assert encode_prompts(tokenizer, ["one two three four"], max_tokens=2) == [whole[-2:]]


def test_a_context_shorter_than_the_prompt_is_an_error_and_one_barely_longer_a_limit() -> None:
    prompts = [[0] * 10, [0] * 99]
    assert new_tokens_that_fit(100, prompts, 8) == 1
    assert new_tokens_that_fit(None, prompts, 8) == new_tokens_that_fit(1000, prompts, 8) == 8
    with pytest.raises(DataFormatError, match="has 99 tokens, and 1 of 2 prompts leave no room.*prompt 1, has 99"):
        new_tokens_that_fit(99, prompts, 8)
    with pytest.raises(InvalidInputError, match="`max_new_tokens` must be at least 1"):
        new_tokens_that_fit(100, prompts, 0)


def test_a_model_that_is_not_there_and_options_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`model_name_or_path`: cannot load .*nowhere"):
        load_policy(str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInputError, match="`backend` must be 'transformers' or 'vllm', got 'vlm'"):
        load_policy(BUILTIN, backend="vlm")
    with pytest.raises(InvalidInputError, match="`temperature` must be 0, for greedy outputs, or above, got nan"):
        load_policy(BUILTIN, temperature=float("nan"))
    with pytest.raises(InvalidInputError, match="`gguf_file` goes with the backend transformers only"):
        load_policy(BUILTIN, backend="vllm", gguf_file="x.gguf")


def test_vllm_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependencyError, match="`backend`: 'vllm' needs vLLM .*pip install vllm"):
        load_policy(BUILTIN, backend="vllm")


def test_vllm_is_asked_for_greedy_completions_of_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Engine:
        def __init__(self, **options: Any) -> None:
            asked.append(options)
            self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=77))

        def get_tokenizer(self) -> str:
            return "tokenizer"

        def generate(self, requests: list[Any], options: Any, use_tqdm: bool) -> list[Any]:
            asked.extend([requests, options])
            return [SimpleNamespace(outputs=[SimpleNamespace(text=f"t{n}")]) for n, _ in enumerate(requests)]

    module = ModuleType("vllm")
    vars(module).update(LLM=Engine, SamplingParams=lambda **options: options)
    monkeypatch.setitem(sys.modules, "vllm", module)
    policy = load_policy("owner/name", backend="vllm", dtype="bfloat16", model_revision="r")
    assert policy.complete([[1, 2], [3]], 9) == ["t0", "t1"]
    assert (policy.context, policy.tokenizer) == (77, "tokenizer")
    assert (asked[0]["model"], asked[0]["revision"]) == ("owner/name", "r")
    assert asked[0]["trust_remote_code"] is False
    assert asked[1] == [{"prompt_token_ids": [1, 2]}, {"prompt_token_ids": [3]}]
    assert (asked[2]["temperature"], asked[2]["max_tokens"]) == (0.0, 9)


def save_model(folder: Path, **tokenizer_options: Any) -> None:
    """A tiny model with the tokenizer of the built-in policy, changed."""
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN)
    for name, value in tokenizer_options.items():
        setattr(tokenizer, name, value)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if tokenizer.chat_template is not None:
        (folder / "chat_template.jinja").write_text(tokenizer.chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
