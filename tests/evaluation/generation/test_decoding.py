"""Decoding with rows that leave: the same completions for less, and `model.generate` where that is not sure."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen2Config, Qwen2ForCausalLM
from transformers.cache_utils import DynamicLayer

from gd2po.data import builtin_model, load_toolcalls
from gd2po.evaluation.generation.decoding import STRETCH, RoomyLayer, decode

GREEDY: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "pad_token_id": 0}


@pytest.fixture(scope="module")
def policy() -> Any:
    return AutoModelForCausalLM.from_pretrained(builtin_model("builtin:toolcalls")).eval()


@pytest.fixture(scope="module")
def prompts() -> dict[str, Tensor]:
    """Sixteen prompts of different lengths, every second one twice."""
    tokenizer = AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"), padding_side="left")
    texts = [
        tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        for prompt in load_toolcalls("test", 8)["prompt"]
        for _ in range(2)
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


@torch.no_grad()
def rows_of(model: Any, do: Callable[[], Tensor]) -> tuple[Tensor, list[int]]:
    """What a call returns, and how many rows each forward pass of the model had meanwhile."""
    rows: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    try:
        return do(), rows
    finally:
        hook.remove()


@pytest.mark.parametrize("limit", [1, STRETCH, STRETCH + 3, 96])
def test_greedy_completions_are_those_of_generate(policy: Any, prompts: dict[str, Tensor], limit: int) -> None:
    options = {**GREEDY, "max_new_tokens": limit}
    expected, _ = rows_of(policy, lambda: policy.generate(**prompts, **options))
    got, rows = rows_of(policy, lambda: decode(policy, **prompts, **options))
    width = min(got.shape[1], expected.shape[1])  # the last stretch may reach beyond the last end token
    assert torch.equal(got[:, :width], expected[:, :width])
    assert (got[:, width:] == 0).all()
    assert rows[0] == 8  # each prompt once
    assert rows[1] == 16
    if limit == 96:
        assert rows[-1] < 16
        assert sum(rows) < 0.8 * 16 * len(rows)


def test_samples_come_from_the_distribution_of_the_model(policy: Any, prompts: dict[str, Tensor]) -> None:
    one = {name: tensor[:1].repeat(512, 1) for name, tensor in prompts.items()}
    options = {"do_sample": True, "temperature": 2.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 1, "pad_token_id": 0}
    torch.manual_seed(0)
    got, _ = rows_of(policy, lambda: decode(policy, **one, **options))
    with torch.no_grad():
        expected = (policy(**{name: tensor[:1] for name, tensor in one.items()}).logits[0, -1] / 2).softmax(0)
    share = torch.bincount(got[:, -1], minlength=len(expected)) / 512
    assert (share - expected).abs().max() < 0.09  # four standard errors of a share of a half
    assert len(got[:, -1].unique()) > 5


def test_settings_of_a_trainer_arrive(policy: Any, prompts: dict[str, Tensor]) -> None:
    config = GenerationConfig(max_new_tokens=5, do_sample=True, top_k=1, pad_token_id=0, eos_token_id=[2, 7])
    got, rows = rows_of(policy, lambda: decode(policy, **prompts, generation_config=config))
    greedy, _ = rows_of(policy, lambda: policy.generate(**prompts, **GREEDY, max_new_tokens=5))
    assert torch.equal(got, greedy)
    assert (rows[0], config.max_new_tokens) == (8, 5)  # the caller's configuration is as it was


def whole(policy: Any, prompts: dict[str, Tensor], **options: Any) -> bool:
    """Whether the call went to `model.generate` as it came: all rows at once from the prompt on."""
    got, rows = rows_of(policy, lambda: decode(policy, **prompts, **options))
    expected, plain = rows_of(policy, lambda: policy.generate(**prompts, **options))
    assert torch.equal(got, expected)
    return rows == plain


@pytest.mark.parametrize(
    "setting",
    [{"min_new_tokens": 3}, {"num_beams": 2}, {"no_repeat_ngram_size": 3}, {"use_cache": False},
     {"cache_implementation": "static"}],
    ids=lambda setting: next(iter(setting)),
)  # fmt: skip
def test_settings_that_look_at_the_whole_batch_or_completion_go_to_generate(
    policy: Any, prompts: dict[str, Tensor], setting: dict[str, Any]
) -> None:
    two = {name: tensor[:4] for name, tensor in prompts.items()}
    assert whole(policy, two, **GREEDY, max_new_tokens=4, **setting)


def test_a_prompt_of_one_token_goes_to_generate(policy: Any) -> None:
    ones = {"input_ids": torch.ones(2, 1, dtype=torch.long), "attention_mask": torch.ones(2, 1, dtype=torch.long)}
    assert whole(policy, ones, **GREEDY, max_new_tokens=2)


def test_inputs_beside_the_tokens_go_to_generate() -> None:
    asked: list[dict[str, Any]] = []

    class Model:
        generation_config = GenerationConfig(max_new_tokens=2, pad_token_id=0, eos_token_id=2)
        config = SimpleNamespace(is_encoder_decoder=False)

        def generate(self, input_ids: Tensor, **options: Any) -> Tensor:
            asked.append(options)
            return input_ids

    ids = torch.ones(2, 3, dtype=torch.long)
    decode(Model(), ids, attention_mask=ids, pixel_values=ids)
    assert set(asked[0]) == {"attention_mask", "generation_config", "pixel_values"}


def test_a_cache_of_windows_goes_to_generate() -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=0,
    )  # fmt: skip
    ids = torch.randint(3, 32, (4, 6))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert whole(Qwen2ForCausalLM(config).eval(), inputs, **GREEDY, eos_token_id=2, max_new_tokens=4)


def test_a_layer_with_room_holds_what_a_plain_one_holds() -> None:
    torch.manual_seed(0)
    roomy, plain = RoomyLayer(), DynamicLayer()
    places = set()

    def both(do: Callable[[DynamicLayer], Any]) -> None:
        assert_equal(*(do(layer) or (layer.keys, layer.values) for layer in (roomy, plain)))

    def assert_equal(got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
        assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))

    def append(tokens: int) -> None:
        rows = roomy.keys.shape[0] if roomy.is_initialized else 4
        keys, values = torch.randn(2, rows, 2, tokens, 3)
        both(lambda layer: layer.update(keys, values))

    append(5)
    for _ in range(STRETCH):
        append(1)
        places.add(roomy.keys.data_ptr())
    assert len(places) == 1  # a token is written, the others stay where they are
    for do in (
        lambda layer: layer.batch_select_indices(torch.tensor([3, 1, 0])),
        lambda layer: layer.crop(7),
        lambda layer: layer.batch_repeat_interleave(2),
    ):
        both(do)
        append(1)
        append(STRETCH + 2)
