"""GDPO+Corr is gdpo times one number."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gd2po import gdpo_advantages, gdpo_corr_advantages

REWARDS = torch.randn(24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GROUP_IDS = torch.arange(4).repeat_interleave(6)
COUNTS = torch.arange(24)


@pytest.mark.parametrize("whitening", ["rollouts", "tokens"])
@pytest.mark.parametrize("weights", [None, [1.0, -2.0, 0.5]])
def test_all_advantages_are_those_of_gdpo_times_one_number(whitening: Any, weights: Any) -> None:
    shared = {"reward_weights": weights, "whitening": whitening, "token_counts": COUNTS}
    found = gdpo_corr_advantages(REWARDS, GROUP_IDS, **shared).advantages
    plain = gdpo_advantages(REWARDS, GROUP_IDS, **shared).advantages
    torch.testing.assert_close(found, (found @ plain) / (plain @ plain) * plain)
    assert found @ plain > 0


def test_it_ends_with_the_distance_from_the_mean_times_the_number() -> None:
    result = gdpo_corr_advantages(REWARDS, GROUP_IDS, reward_weights=[1.0, -2.0, 0.5])
    assert result.multipliers is not None
    expected = result.multipliers * (result.unwhitened - result.unwhitened.mean())
    torch.testing.assert_close(result.advantages, expected)


def test_the_number_is_the_root_of_the_sum_of_correlations() -> None:
    for signs in ([1.0, 1.0, 1.0], [1.0, -2.0, 0.5]):
        result = gdpo_corr_advantages(REWARDS, GROUP_IDS, reward_weights=signs)
        correlations = torch.corrcoef((result.reward_advantages * torch.tensor(signs)).T)
        assert result.multipliers is not None
        assert float(result.multipliers) == pytest.approx(float((correlations.sum() + 1e-6).rsqrt()), rel=1e-9)


def test_without_whitening_it_is_the_sum_of_the_reward_advantages() -> None:
    result = gdpo_corr_advantages(REWARDS, GROUP_IDS, whitening="none")
    assert torch.equal(result.advantages, result.unwhitened)
    torch.testing.assert_close(result.advantages, result.reward_advantages.sum(1))


def test_a_single_token_is_no_batch_to_take_a_mean_of() -> None:
    counts = torch.zeros(24)
    counts[3] = 1
    result = gdpo_corr_advantages(REWARDS, GROUP_IDS, whitening="tokens", token_counts=counts)
    assert not result.advantages.any()
