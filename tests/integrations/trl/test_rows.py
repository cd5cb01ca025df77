"""Rows of a micro-batch of TRL: which carry a gradient, which tokens carry loss, and what is nothing but padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gd2po.integrations.trl.rows import COMPONENTS, has_gradient, loss_mask, trim_padding, unknown_columns


def test_a_rollout_has_a_gradient_if_its_advantage_or_that_of_one_reward_is_not_0() -> None:
    advantages = torch.tensor([0.0, 1.0, -2.0, 0.0])
    assert has_gradient({"advantages": advantages}).tolist() == [False, True, True, False]
    # Where gradients are coordinated, rewards that cancel in the sum still pull.
    components = torch.tensor([[1.0, -1.0], [1.0, 0.0], [0.0, -2.0], [0.0, 0.0]])
    found = has_gradient({"advantages": advantages, COMPONENTS: components})
    assert found.tolist() == [True, True, True, False]


def test_what_a_tool_wrote_carries_no_loss() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert torch.equal(loss_mask({"completion_mask": mask}), mask)
    tools = torch.tensor([[1, 0, 1], [1, 1, 1]])
    assert loss_mask({"completion_mask": mask, "tool_mask": tools}).tolist() == [[1, 0, 1], [1, 1, 0]]


def test_entries_by_image_are_unknown_and_single_values_are_not() -> None:
    batch = {"prompt_ids": torch.zeros(2, 3), "num_items_in_batch": torch.tensor(3), "step": 1, "nothing": None}
    assert unknown_columns(batch) == []
    assert unknown_columns(batch | {"pixels": torch.zeros(2), "sizes": (1, 2)}) == ["pixels", "sizes"]


def batch_of(prompt: list[list[int]], completion: list[list[int]]) -> dict[str, Any]:
    prompts, completions = torch.tensor(prompt), torch.tensor(completion)
    return {
        "prompt_ids": torch.arange(prompts.numel()).view_as(prompts),
        "prompt_mask": prompts,
        "completion_ids": torch.arange(completions.numel()).view_as(completions),
        "completion_mask": completions,
        "tool_mask": completions.clone(),
        "old_per_token_logps": torch.zeros(completions.shape),
        "importance_sampling_ratio": torch.ones(len(completions), 1),
    }


@pytest.mark.parametrize("prompts", [True, False])
def test_columns_that_are_padding_in_every_row_go(prompts: bool) -> None:
    batch = batch_of([[0, 0, 1], [0, 1, 1]], [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    trim_padding(batch, prompts=prompts)
    assert batch["prompt_ids"].tolist() == ([[1, 2], [4, 5]] if prompts else [[0, 1, 2], [3, 4, 5]])
    assert batch["prompt_mask"].shape == batch["prompt_ids"].shape
    assert batch["completion_ids"].tolist() == [[0, 1], [5, 6]]
    for name in ("completion_mask", "tool_mask", "old_per_token_logps"):
        assert batch[name].shape == (2, 2), name
    assert batch["importance_sampling_ratio"].shape == (2, 1)


def test_a_batch_without_any_token_keeps_one_column() -> None:
    batch = batch_of([[0, 0], [0, 0]], [[0, 0, 0], [0, 0, 0]])
    trim_padding(batch, prompts=True)
    assert batch["completion_ids"].shape == (2, 1)
    assert batch["prompt_ids"].shape == (2, 2)
