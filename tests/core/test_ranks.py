"""Mid-ranks inside groups: ties, rounding, missing scores, and both layouts of the groups."""

from __future__ import annotations

import math

import oracles
import pytest
import torch
from hypothesis import given
from strategies import DTYPES, Batch, batches

from gd2po import gd2po_advantages
from gd2po.core.groups import Groups
from gd2po.core.ranks import centred_ranks


def ranks(scores: list[float], dtype: torch.dtype = torch.float64) -> list[float]:
    """Of one group."""
    lanes = torch.tensor(scores, dtype=torch.float64).to(dtype).view(-1, 1, 1)
    applies = lanes.isnan().logical_not().double()
    eps = torch.finfo(dtype).eps
    return centred_ranks(lanes.nan_to_num(nan=0.0), applies, Groups.of_one(len(scores)), eps).flatten().tolist()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 2.0, 900.0], [-1.0, 0.0, 1.0]),
        ([5.0, 1.0, 5.0, 1.0], [1.0, -1.0, 1.0, -1.0]),
        ([3.0, 3.0, 3.0], [0.0, 0.0, 0.0]),
        ([0.1 + 0.2, 0.3, 0.1], [0.5, 0.5, -1.0]),
        ([-2.0, math.nan, 4.0], [-0.5, 0.0, 0.5]),
        ([math.nan, math.nan], [0.0, 0.0]),
        ([7.0], [0.0]),
        ([1.7e308, -1.7e308, 0.0], [1.0, -1.0, 0.0]),
    ],
)
def test_ties_share_the_mean_of_their_ranks_and_missing_scores_have_none(
    scores: list[float], expected: list[float]
) -> None:
    assert ranks(scores) == expected


def test_noise_of_a_lower_precision_does_not_part_scores() -> None:
    scores = [1.0, 1.0 + 1e-7, 2.0]
    assert ranks(scores) == [-1.0, 0.0, 1.0]
    assert ranks(scores, torch.float32) == [-0.5, -0.5, 1.0]


@given(batch=batches(dtypes=DTYPES))
def test_they_are_those_of_the_oracle_in_every_layout(batch: Batch) -> None:
    eps = torch.finfo(batch.rewards.dtype).eps
    result = gd2po_advantages(batch.rewards, batch.group_ids, standardisation="rank", scale_rewards=False)
    ids = batch.group_ids.tolist()
    for reward, column in enumerate(zip(*batch.rows(), strict=True)):
        found = oracles.standardise(oracles.ranked(column, ids, eps=eps), ids, eps=0, scale=False)
        assert result.reward_advantages[:, reward].tolist() == torch.tensor(found).to(batch.rewards.dtype).tolist()


def test_a_score_that_goes_to_any_length_counts_for_no_more() -> None:
    rewards = torch.tensor([[0.1], [0.2], [0.3], [0.4]], dtype=torch.float64)
    group_ids = torch.zeros(4, dtype=torch.int64)
    before = gd2po_advantages(rewards, group_ids, standardisation="rank").advantages
    rewards[3] = 1e9
    assert torch.equal(gd2po_advantages(rewards, group_ids, standardisation="rank").advantages, before)
