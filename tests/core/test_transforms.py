"""Conditions, subsets, and which rewards vary in a group."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from method_oracles import conditioned
from strategies import DTYPES, Batch, batches

from gd2po import Condition, conditioned_rewards, gdpo_advantages, reward_varies_mask
from gd2po.errors import InvalidInputError, InvalidTypeError

REWARDS = torch.tensor([[1.0, 0.9], [0.0, 0.8], [math.nan, 0.7], [0.5, math.nan]])


@given(batch=batches(min_rewards=2, dtypes=DTYPES), data=st.data())
def test_conditions_match_plain_loops(batch: Batch, data: st.DataObject) -> None:
    reward = st.integers(0, batch.rewards.shape[1] - 1)
    score = st.sampled_from([value for value in batch.rewards.double().flatten().tolist() if value == value] or [0.0])
    triples = st.tuples(reward, reward, score).filter(lambda triple: triple[0] != triple[1])
    chosen = data.draw(st.lists(triples, max_size=4))
    otherwise = data.draw(st.sampled_from([0.0, -3.0, math.nan]))
    found = conditioned_rewards(batch.rewards, [Condition(*triple) for triple in chosen], otherwise=otherwise)
    expected = torch.tensor(conditioned(batch.rows(), chosen, otherwise), dtype=torch.float64)
    assert found.dtype == batch.rewards.dtype
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0, equal_nan=True)


def test_a_condition_at_its_threshold_holds_and_what_cannot_be_judged_is_missing() -> None:
    found = conditioned_rewards(REWARDS, [Condition(1, 0, 1.0)], otherwise=-1.0)
    torch.testing.assert_close(found[:, 1], torch.tensor([0.9, -1.0, math.nan, math.nan]), equal_nan=True)
    torch.testing.assert_close(found[:, 0], REWARDS[:, 0], equal_nan=True)


def test_a_condition_that_fails_outweighs_one_that_cannot_be_judged() -> None:
    rewards = torch.tensor([[0.0, math.nan, 0.7]])
    conditions = [Condition(2, 0, 1.0), Condition(2, 1, 1.0)]
    assert conditioned_rewards(rewards, conditions)[0, 2] == 0


def test_conditions_look_at_the_rewards_as_they_were_given() -> None:
    rewards = torch.tensor([[0.0, 1.0, 1.0]])
    conditions = [Condition(1, 0, 1.0), Condition(2, 1, 1.0)]
    assert conditioned_rewards(rewards, conditions).tolist() == [[0.0, 0.0, 1.0]]


def test_a_threshold_is_rounded_as_the_rewards_are() -> None:
    rewards = torch.tensor([[0.1, 1.0]])  # in float32, 0.1 is not the 0.1 of Python
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert conditioned_rewards(rewards.to(dtype), [Condition(1, 0, 0.1)])[0, 1] == 1


def test_the_input_is_not_changed_and_without_conditions_nothing_is() -> None:
    before = REWARDS.clone()
    found = conditioned_rewards(REWARDS, [])
    torch.testing.assert_close(found, before, equal_nan=True)
    conditioned_rewards(REWARDS, [Condition(1, 0, 1.0)])[0, 0] = 7
    found[0, 0] = 7
    torch.testing.assert_close(REWARDS, before, equal_nan=True)


def test_a_subset_is_standardised_among_those_that_meet_its_condition() -> None:
    rewards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 5.0], [1.0, 2.0]], dtype=torch.float64)
    group_ids = torch.zeros(4, dtype=torch.int64)
    subset = conditioned_rewards(rewards, [Condition(1, 0, 1.0)], otherwise=math.nan)
    z = gdpo_advantages(subset, group_ids).reward_advantages[:, 1]
    assert z[2] == 0
    assert z[[0, 1, 3]].tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("conditions", "otherwise", "error", "message"),
    [
        ([Condition(0, 0, 1.0)], 0.0, InvalidInputError, "must hold a reward back by another one: got Condition("),
        ([Condition(2, 0, 1.0)], 0.0, InvalidInputError, "must name rewards by index, 0 to 1: got Condition(reward=2"),
        ([Condition(0, -1, 1.0)], 0.0, InvalidInputError, "must name rewards by index, 0 to 1"),
        ([Condition(0, 1.0, 1.0)], 0.0, InvalidInputError, "must name rewards by index, 0 to 1"),
        ([Condition(0, 1, math.nan)], 0.0, InvalidInputError, "`conditions` need finite thresholds"),
        ([Condition(0, 1, "1")], 0.0, InvalidInputError, "`conditions` need finite thresholds"),
        ([(0, 1, 1.0)], 0.0, InvalidTypeError, "`conditions` must hold `Condition`s: got (0, 1, 1.0)"),
        ([], math.inf, InvalidInputError, "`otherwise` must be a finite number, or NaN for a subset: got inf"),
        ([], None, InvalidInputError, "`otherwise` must be a finite number, or NaN for a subset: got None"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(
    conditions: Any, otherwise: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        conditioned_rewards(REWARDS, conditions, otherwise=otherwise)


def test_infinite_rewards_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="row 1, reward 0 is inf"):
        conditioned_rewards(torch.tensor([[0.0, 1.0], [math.inf, 1.0]]), [])


def test_a_reward_varies_in_a_group_for_all_its_rollouts_or_for_none() -> None:
    rewards = torch.tensor([[1.0, math.nan, 5.0], [0.0, 1.0, 5.0], [1.0, 2.0, 5.0], [1.0, 3.0, 5.0]])
    group_ids = torch.tensor([4, 4, 9, 9])
    assert reward_varies_mask(rewards, group_ids).tolist() == [[True, False, False]] * 2 + [[False, True, False]] * 2
    weighted = reward_varies_mask(rewards, group_ids, reward_weights=[0.0, 1.0, 1.0])
    assert weighted.tolist() == [[False, False, False]] * 2 + [[False, True, False]] * 2
