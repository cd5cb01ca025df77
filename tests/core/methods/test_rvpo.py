"""RVPO: the soft minimum at its ends, and what it warns of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import Batch, batches

from gd2po import Setting, core, gdpo_advantages, rvpo_advantages

GROUP_IDS = torch.arange(2).repeat_interleave(6)
REWARDS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OPPOSED = torch.stack([REWARDS[:, 0], -REWARDS[:, 0]], dim=1)


def soft_minima(rewards: torch.Tensor = REWARDS, **options: Any) -> torch.Tensor:
    return rvpo_advantages(rewards, GROUP_IDS[: len(rewards)], whitening="none", **options).advantages


def z_scores() -> torch.Tensor:
    return gdpo_advantages(REWARDS, GROUP_IDS, whitening="none").reward_advantages


@pytest.mark.parametrize("kappa", [0, 0.0, 5e-324, 1e-300, 1e-20, 1e-12])
def test_a_small_kappa_is_the_mean(kappa: float) -> None:
    torch.testing.assert_close(soft_minima(kappa=kappa), z_scores().mean(1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kappa", [1e4, 1e300, 1.79e308])
def test_a_large_kappa_is_the_minimum(kappa: float) -> None:
    torch.testing.assert_close(soft_minima(kappa=kappa), z_scores().amin(1), rtol=1e-3, atol=1e-3)


def test_a_kappa_beyond_float32_is_the_minimum_where_that_is_computed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = z_scores().amin(1)
    for module in (core.batch, core.checks, core.groups):
        monkeypatch.setattr(module, "compute_dtype", lambda device: torch.float32)
    found = soft_minima(REWARDS.float(), kappa=1e300)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


@given(kappa=st.floats(1e-9, 1e-3))
def test_in_between_it_is_the_mean_less_half_the_variance_to_second_order(kappa: float) -> None:
    z = z_scores()
    expected = z.mean(1) - kappa / 2 * z.var(1, correction=0)
    torch.testing.assert_close(soft_minima(kappa=kappa), expected, rtol=0, atol=3 * kappa**2 + 1e-15)


@given(seed=st.integers(0, 1000))
def test_a_larger_kappa_never_gives_more(seed: int) -> None:
    rewards = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    previous = torch.full((6,), math.inf, dtype=torch.float64)
    for kappa in (0.0, 1e-6, 0.5, 1.0, 5.0, 100.0):
        found = soft_minima(rewards, kappa=kappa)
        assert (found <= previous + 1e-12).all()
        previous = found


@given(batch=batches(max_rewards=1, weighted=False))
def test_with_one_reward_it_is_gdpo(batch: Batch) -> None:
    found = rvpo_advantages(batch.rewards, batch.group_ids).advantages
    torch.testing.assert_close(found, gdpo_advantages(batch.rewards, batch.group_ids).advantages)


def test_weights_that_are_far_apart_leave_everything_finite() -> None:
    for kappa in (1e-3, 1.0, 50.0, 1e300):
        result = rvpo_advantages(REWARDS, GROUP_IDS, kappa=kappa, reward_weights=[1e-200, 1.0, 1e30])
        for values in (result.advantages, result.unwhitened, result.multipliers):
            assert values is not None
            assert values.isfinite().all()


def test_a_missing_reward_is_left_out_and_a_dead_one_is_not() -> None:
    # Two rollouts one std above and below the mean of the first reward.
    rewards = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    z = 1 / math.sqrt(2)
    capped = soft_minima(rewards)
    assert float(capped[1]) == pytest.approx(-math.log((math.exp(-z) + 1) / 2), rel=1e-5)
    rewards[:, 1] = math.nan
    assert soft_minima(rewards).tolist() == pytest.approx([-z, z], rel=1e-5)


@pytest.mark.parametrize("kappa", [1e4, 1e300])
def test_rewards_that_take_no_part_set_no_minimum(kappa: float) -> None:
    # Where they stand for 0, which is less than the praise of the first reward.
    rewards = torch.tensor([[0.0, 5.0, math.nan], [1.0, 6.0, math.nan]], dtype=torch.float64)
    found = soft_minima(rewards, kappa=kappa, reward_weights=[1.0, 0.0, 1.0])
    assert found.tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)], rel=1e-5)


def test_two_exact_opposites_push_the_group_down() -> None:
    assert soft_minima(OPPOSED).max() < 0


def test_the_shares_add_up_to_1_and_favour_the_worst_reward() -> None:
    shares = rvpo_advantages(REWARDS, GROUP_IDS, kappa=3.0).multipliers
    assert shares is not None
    assert shares.sum(1).tolist() == pytest.approx([1.0] * 12)
    assert torch.equal(shares.argmax(1), z_scores().argmin(1))


def test_it_says_which_rewards_are_opposed_dead_or_missing() -> None:
    setting = Setting.named("rvpo", "here")
    assert setting.warnings(REWARDS[:, :1], GROUP_IDS) == []
    dead = torch.cat([OPPOSED, torch.ones(12, 1)], dim=1)
    dead[0, 0] = math.nan
    said = setting.warnings(dead, GROUP_IDS, reward_names=["helpful", "safe", "format"])
    assert [sentence.split(".")[0] for sentence in said] == [
        "rvpo: format tells no rollout from another in its group",
        "rvpo: helpful does not apply to some rollouts",
        "rvpo: helpful and safe pull against each other",
    ]
    assert setting.warnings(OPPOSED, GROUP_IDS, reward_weights=[1.0, -1.0]) == []
