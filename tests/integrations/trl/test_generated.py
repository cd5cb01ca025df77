"""Rows of several generations, joined and picked whatever their padding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gd2po.errors import ConfigError
from gd2po.integrations.trl.generated import Generated

ONE = SimpleNamespace(
    num_processes=1, process_index=0, gather=lambda value: value, pad_across_processes=lambda value, **kwargs: value
)
PAD = 9


def output(prompt: int, completion: int, **further: Any) -> dict[str, Any]:
    """Two rollouts, the first a token shorter on both sides."""
    prompt_mask = torch.ones(2, prompt, dtype=torch.long)
    prompt_mask[0, 0] = 0
    completion_mask = torch.ones(2, completion, dtype=torch.long)
    completion_mask[0, -1] = 0
    return {
        "prompt_ids": torch.where(prompt_mask == 1, 1, PAD),
        "prompt_mask": prompt_mask,
        "completion_ids": torch.where(completion_mask == 1, 2, PAD),
        "completion_mask": completion_mask,
        "old_per_token_logps": torch.full((2, completion), -1.0),
        "advantages": torch.tensor([5.0, 6.0]),
        "num_items_in_batch": torch.tensor(100),
        **further,
    }


def generated(name: str, *args: Any, **further: Any) -> Generated:
    return Generated.gathered(output(*args, **further), torch.eye(2), {"prompt": [f"{name}0", f"{name}1"]}, ONE, PAD)


def test_rows_of_different_widths_are_padded_as_trl_does() -> None:
    both = generated("a", 2, 4).joined(generated("b", 3, 2))
    assert both.inputs["prompt_ids"].tolist() == [[9, 9, 1], [9, 1, 1], [9, 1, 1], [1, 1, 1]]
    assert both.inputs["prompt_mask"].tolist() == [[0, 0, 1], [0, 1, 1], [0, 1, 1], [1, 1, 1]]
    assert both.inputs["completion_ids"].tolist() == [[2, 2, 2, 9], [2, 2, 2, 2], [2, 9, 9, 9], [2, 2, 9, 9]]
    assert both.inputs["old_per_token_logps"][2].tolist() == [-1, -1, 0, 0]
    assert both.rewards.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert both.logs["prompt"] == ["a0", "a1", "b0", "b1"]
    assert both.token_counts.tolist() == [3, 4, 1, 2]


def test_picked_rows_lose_the_padding_that_none_of_them_needs() -> None:
    batch = generated("a", 2, 4).joined(generated("b", 3, 2)).picked(torch.tensor([2, 0]))
    assert batch.logs["prompt"] == ["b0", "a0"]
    trimmed = batch.output(ONE, trim=True)
    assert trimmed["prompt_ids"].tolist() == [[1, 1], [9, 1]]
    assert trimmed["completion_ids"].tolist() == [[2, 9, 9], [2, 2, 2]]
    assert trimmed["old_per_token_logps"].tolist() == [[-1, -1, 0], [-1, -1, -1]]
    assert batch.output(ONE, trim=False)["prompt_ids"].shape == (2, 3)


def test_the_number_of_tokens_is_that_of_the_rows_and_leaves_tool_results_out() -> None:
    tool_mask = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0]])
    batch = generated("a", 2, 4, tool_mask=tool_mask).picked(torch.tensor([1, 1]))
    made = batch.output(ONE, trim=True)
    assert made["num_items_in_batch"] == 4
    assert "advantages" not in made


def test_one_ratio_per_rollout_stays_one() -> None:
    ratio = torch.tensor([[0.5], [2.0]])
    both = generated("a", 2, 4, importance_sampling_ratio=ratio).joined(
        generated("b", 2, 3, importance_sampling_ratio=ratio)
    )
    assert both.output(ONE, trim=True)["importance_sampling_ratio"].tolist() == [[0.5], [2.0], [0.5], [2.0]]


def test_each_process_gets_its_rows() -> None:
    batch = generated("a", 2, 4).joined(generated("b", 3, 2))
    second = SimpleNamespace(num_processes=2, process_index=1)
    made = batch.output(second, trim=True)
    assert made["completion_ids"].tolist() == [[2, 9], [2, 2]]
    assert made["num_items_in_batch"] == 10  # of all processes


def test_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="which rollout each entry of 'pixel_values' belongs to"):
        generated("a", 2, 4, pixel_values=torch.ones(7, 3))
