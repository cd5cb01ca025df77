"""The policy over the rollouts of a group: where it starts, where it goes, and what it never does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gd2po.core import Setting
from gd2po.replay.learning import FEWEST_GROUPS, MOST_REPEATS, Course, learn, repeats_of
from gd2po.replay.rollouts import Rollouts

GDPO = Setting.named("gdpo", "test")


def rollouts_of(rewards: torch.Tensor) -> Rollouts:
    """Rollouts of a (P, C, K) table in which a row of NaN is padding."""
    exists = ~rewards.isnan().all(-1)
    return Rollouts(rewards, exists, np.arange(len(rewards)), 0)


def learned(
    rollouts: Rollouts, gold: torch.Tensor, rate: float = 3.0, setting: Setting = GDPO, steps: int = 30
) -> Course:
    weights = [1.0] * rollouts.rewards.shape[-1]
    columns = range(rollouts.rewards.shape[-1])
    return learn(
        rollouts, gold, setting, rate, rewards=columns, reward_weights=weights, reward_families=None, steps=steps,
        group_size=rollouts.usual_size,
    )  # fmt: skip


@pytest.fixture
def rewards() -> torch.Tensor:
    return torch.rand(20, 4, 1, generator=torch.Generator().manual_seed(0))


def test_it_starts_at_the_logged_policy(rewards: torch.Tensor) -> None:
    course = learned(rollouts_of(rewards), rewards[..., 0].double(), steps=1)
    torch.testing.assert_close(course.gold[0], rewards[..., 0].double().mean(1))
    assert float(course.kl[0]) == pytest.approx(0, abs=1e-12)


def test_it_ends_at_the_rollout_with_the_best_reward(rewards: torch.Tensor) -> None:
    course = learned(rollouts_of(rewards), rewards[..., 0].double(), rate=1.0, steps=150)
    torch.testing.assert_close(course.gold[-1], rewards[..., 0].double().amax(1), atol=0.05, rtol=0)
    assert float(course.kl[-1]) == pytest.approx(math.log(4), abs=0.15)


def test_padding_is_never_chosen() -> None:
    rewards = torch.tensor([[[0.0], [1.0], [2.0]], [[0.0], [1.0], [math.nan]]])
    gold = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, math.nan]], dtype=torch.float64)
    course = learned(rollouts_of(rewards), gold, rate=1.0, steps=150)
    assert course.gold[0].tolist() == pytest.approx([1.0, 0.5])
    assert course.gold[-1].tolist() == pytest.approx([2.0, 1.0], abs=0.1)
    assert course.gold.isfinite().all()
    # log 3 and log 2: the padding is no part of what was logged.
    assert float(course.kl[-1]) == pytest.approx((math.log(3) + math.log(2)) / 2, abs=0.15)


def test_gold_is_expected_over_the_labelled_rollouts() -> None:
    rewards = torch.tensor([[[0.0], [1.0], [2.0]]])
    gold = torch.tensor([[4.0, math.nan, 6.0]], dtype=torch.float64)
    course = learned(rollouts_of(rewards), gold, steps=40)
    assert float(course.gold[0, 0]) == 5
    assert float(course.gold[-1, 0]) == pytest.approx(6, abs=0.1)


def test_a_group_without_a_label_has_no_gold(rewards: torch.Tensor) -> None:
    gold = rewards[..., 0].double()
    gold[3] = math.nan
    course = learned(rollouts_of(rewards), gold, steps=2)
    assert course.gold[:, 3].isnan().all()
    assert course.gold[:, 4].isfinite().all()


def test_groups_learn_apart_where_the_method_works_inside_groups(rewards: torch.Tensor) -> None:
    setting = Setting.of({"method": "gdpo", "whitening": "none"}, "test")
    gold = rewards[..., 0].double()
    before = learned(rollouts_of(rewards), gold, setting=setting)
    other = rewards.clone()
    other[0] = -other[0]
    after = learned(rollouts_of(other), gold, setting=setting)
    torch.testing.assert_close(before.gold[:, 1:], after.gold[:, 1:])
    assert float(after.gold[-1, 0]) < float(before.gold[-1, 0])


def test_the_same_draws_serve_every_method(rewards: torch.Tensor) -> None:
    gold = rewards[..., 0].double()
    one, two = (
        learned(rollouts_of(rewards), gold, setting=Setting.named(name, "test")) for name in ("gdpo", "gd2po-hard")
    )
    torch.testing.assert_close(one.gold, two.gold)  # with a single reward nothing conflicts


def test_learning_is_repeated_the_more_often_the_fewer_groups_there_are() -> None:
    assert repeats_of(rollouts_of(torch.zeros(FEWEST_GROUPS, 2, 1))) == 1
    assert repeats_of(rollouts_of(torch.zeros(FEWEST_GROUPS // 2, 2, 1))) == 2
    assert repeats_of(rollouts_of(torch.zeros(2, 2, 1))) == MOST_REPEATS
