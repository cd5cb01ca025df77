"""Consensus: what it is without its parts, and what a fooled judge can do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import Batch, batches

from gd2po import Setting, consensus_advantages, gd2po_advantages, gdpo_advantages
from gd2po.errors import InvalidInputError

GROUP_IDS = torch.arange(4).repeat_interleave(6)
REWARDS = torch.randn(24, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WHITENING = st.sampled_from(["rollouts", "tokens", "none"])


def of(function: Any, batch: Batch, **options: Any) -> torch.Tensor:
    result = function(
        batch.rewards, batch.group_ids, reward_weights=batch.weights, token_counts=batch.token_counts, **options
    )
    advantages: torch.Tensor = result.advantages
    return advantages


@given(batch=batches(), whitening=WHITENING, combination=st.sampled_from(["soft_minimum", "minimum", "uncertainty"]))
def test_without_partners_it_is_gdpo_to_the_last_bit(batch: Batch, whitening: str, combination: str) -> None:
    families = list(range(batch.rewards.shape[1]))
    found = of(consensus_advantages, batch, reward_families=families, whitening=whitening, combination=combination)
    assert torch.equal(found, of(gdpo_advantages, batch, whitening=whitening))


@given(batch=batches(), whitening=WHITENING)
def test_without_ranks_minimum_and_filter_it_is_gdpo_to_the_last_bit(batch: Batch, whitening: str) -> None:
    off = {"standardisation": "zscore", "combination": "mean", "drop_conflicts": "none", "whitening": whitening}
    assert torch.equal(of(consensus_advantages, batch, **off), of(gdpo_advantages, batch, whitening=whitening))


@given(batch=batches(), families=st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_ranks_and_filter_alone_are_those_of_gd2po(batch: Batch, families: list[int]) -> None:
    labels = families[: batch.rewards.shape[1]]
    found = of(consensus_advantages, batch, reward_families=labels, combination="mean", drop_conflicts="all")
    expected = of(
        gd2po_advantages, batch, reward_families=labels, conflict_pairs="families", standardisation="rank_partners",
        filtering="hard", query_reweighting=False,
    )  # fmt: skip
    assert torch.equal(found, expected)


def test_without_families_it_is_gdpo_to_the_last_bit() -> None:
    found = consensus_advantages(REWARDS, GROUP_IDS)
    assert torch.equal(found.advantages, gdpo_advantages(REWARDS, GROUP_IDS).advantages)
    assert found.keep_mask.all()


def test_correlated_rewards_are_a_family_if_wanted() -> None:
    rewards = torch.stack([REWARDS[:, 0], REWARDS[:, 0] + 0.1 * REWARDS[:, 1], -REWARDS[:, 0]], dim=1)
    found = consensus_advantages(rewards, GROUP_IDS, partners="correlated")
    assert torch.equal(
        found.advantages, consensus_advantages(rewards, GROUP_IDS, reward_families=["x", "x", "y"]).advantages
    )
    nobody = consensus_advantages(rewards, GROUP_IDS, partners="correlated", min_correlation=1.0).advantages
    assert torch.equal(nobody, gdpo_advantages(rewards, GROUP_IDS).advantages)


def test_families_that_would_not_be_used_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="`reward_families` has no effect with partners='correlated'"):
        consensus_advantages(REWARDS, GROUP_IDS, partners="correlated", reward_families=[0, 0, 1])


@given(batch=batches())
def test_one_reward_is_not_told_that_it_has_no_partner(batch: Batch) -> None:
    setting = Setting.named("consensus", "here")
    assert not any("family of its own" in said for said in setting.warnings(batch.rewards[:, :1], batch.group_ids))


def test_a_fooled_judge_wins_nothing_alone() -> None:
    scores = torch.linspace(0, 1, 6, dtype=torch.float64)
    rewards = torch.stack([scores, scores], dim=1)
    rewards[0, 0] = 50.0  # the worst answer fools the first judge
    ids, families = torch.zeros(6, dtype=torch.int64), ["judge", "judge"]
    assert gdpo_advantages(rewards, ids).advantages[0] > 0
    cautious = consensus_advantages(rewards, ids, reward_families=families, drop_conflicts="none")
    assert cautious.advantages[0] < 0
    dropped = consensus_advantages(rewards, ids, reward_families=families, drop_conflicts="all")
    assert not dropped.keep_mask[0]
    assert dropped.advantages[0] == 0
    blamed = consensus_advantages(rewards, ids, reward_families=families)
    assert blamed.keep_mask[0]
    assert blamed.advantages[0] < 0


@given(batch=batches())
def test_of_conflicts_only_those_that_would_be_praised_are_dropped(batch: Batch) -> None:
    families = [0] * batch.rewards.shape[1]
    options = {"reward_weights": batch.weights, "reward_families": families, "whitening": "none"}
    kept = consensus_advantages(batch.rewards, batch.group_ids, drop_conflicts="none", **options)
    found = consensus_advantages(batch.rewards, batch.group_ids, **options)
    praised = kept.conflict_mask & (kept.advantages > 1e-8)
    assert torch.equal(found.keep_mask, kept.present_mask & ~praised)
    assert torch.equal(found.advantages, torch.where(praised, 0.0, kept.advantages))


def test_the_voice_of_a_family_has_mean_0_in_every_group() -> None:
    found = consensus_advantages(REWARDS, GROUP_IDS, reward_families=[0, 0, 0], drop_conflicts="none", whitening="none")
    assert found.advantages.view(4, 6).sum(1).abs().max() < 1e-12
    assert found.components is not None
    assert torch.equal(found.components[:, 0], found.components[:, 2])


@given(
    batch=batches(),
    families=st.lists(st.integers(0, 1), min_size=4, max_size=4),
    standardisation=st.sampled_from(["zscore", "rank", "rank_partners"]),
)
def test_reward_advantages_and_scores_are_those_of_gdpo(
    batch: Batch, families: list[int], standardisation: Any
) -> None:
    found = consensus_advantages(
        batch.rewards, batch.group_ids, reward_weights=batch.weights, standardisation=standardisation,
        reward_families=families[: batch.rewards.shape[1]],
    )  # fmt: skip
    plain = gdpo_advantages(batch.rewards, batch.group_ids, reward_weights=batch.weights)
    assert torch.equal(found.reward_advantages, plain.reward_advantages)
    assert torch.equal(found.snr, plain.snr)


def test_rewards_are_correlated_over_the_rollouts_that_they_share() -> None:
    # The second judge scores half of the prompts, and there as the first one does.
    rewards = REWARDS.clone()
    rewards[:12, 1], rewards[12:, 1] = rewards[:12, 0], torch.nan
    found = consensus_advantages(rewards, GROUP_IDS, partners="correlated", min_correlation=0.9)
    declared = consensus_advantages(rewards, GROUP_IDS, reward_families=["x", "x", "y"])
    assert torch.equal(found.advantages, declared.advantages)
