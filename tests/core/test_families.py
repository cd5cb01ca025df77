"""Families declared and found, their agreement, and what their rewards amount to."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import Batch, batches, options

from gd2po import Setting, advantages, consensus_advantages, gd2po_advantages, gdpo_advantages
from gd2po.core.families import combined, family_labels, joined_families
from gd2po.errors import ConfigError, InvalidInputError, InvalidTypeError

REWARDS = torch.randn(24, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
GROUP_IDS = torch.arange(4).repeat_interleave(6)
FIELDS = ("advantages", "unwhitened", "conflict_mask", "keep_mask", "keep_ratio", "snr", "reward_advantages")


def filtered(batch: Batch, families: Sequence[Hashable] | None, **chosen: Any) -> Any:
    chosen |= {"conflict_pairs": "all" if families is None else "families"}
    return gd2po_advantages(
        batch.rewards,
        batch.group_ids,
        reward_weights=batch.weights,
        reward_families=families,
        token_counts=batch.token_counts,
        **chosen,
    )


@given(batch=batches(), chosen=options())
def test_all_rewards_in_one_family_is_gd2po_to_the_last_bit(batch: Batch, chosen: dict[str, Any]) -> None:
    one, plain = filtered(batch, ["judges"] * batch.rewards.shape[1], **chosen), filtered(batch, None, **chosen)
    for field in FIELDS:
        assert torch.equal(getattr(one, field), getattr(plain, field)), field


@given(batch=batches(), chosen=options())
def test_every_reward_a_family_of_its_own_is_gdpo_to_the_last_bit(batch: Batch, chosen: dict[str, Any]) -> None:
    chosen["standardisation"] = "zscore"
    alone = filtered(batch, range(batch.rewards.shape[1]), **chosen)
    plain = gdpo_advantages(
        batch.rewards,
        batch.group_ids,
        reward_weights=batch.weights,
        token_counts=batch.token_counts,
        scale_rewards=chosen["scale_rewards"],
        whitening=chosen["whitening"],
    )
    assert torch.equal(alone.advantages, plain.advantages)
    assert torch.equal(alone.unwhitened, plain.unwhitened)
    assert not alone.conflict_mask.any()
    assert (alone.snr == 1).all()


def test_a_conflict_between_families_is_left_to_the_sum() -> None:
    rewards = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    ids = torch.zeros(4, dtype=torch.int64)
    found = gd2po_advantages(rewards, ids, filtering="hard", conflict_pairs="families", reward_families=["q", "q", "b"])
    assert found.keep_mask.tolist() == [True, True, False, False]
    assert gd2po_advantages(rewards, ids, filtering="hard").keep_mask.tolist() == [False] * 4


def test_the_score_of_a_family_is_its_own() -> None:
    rewards = torch.tensor([[0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [3.0, 3.0, 1.0]], dtype=torch.float64)
    ids = torch.zeros(4, dtype=torch.int64)
    options = {"conflict_pairs": "families", "snr_threshold": 0.5}
    found = gd2po_advantages(rewards, ids, reward_families=[0, 0, 1], **options)
    alone = gd2po_advantages(rewards[:, :2], ids, reward_families=[0, 0], **options)
    assert torch.equal(found.snr, alone.snr)
    assert found.keep_mask.tolist() == [True, False, False, True]


@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_joined_families_are_the_connected_ones(pairs: list[tuple[int, int]]) -> None:
    import oracles

    matrix = torch.zeros(6, 6, dtype=torch.bool)
    for first, second in pairs:
        matrix[first, second] = matrix[second, first] = first != second
    labels, expected = joined_families(matrix), oracles.joined(pairs, 6)
    assert labels == expected


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0, 30.0])
def test_minimum_and_cautious_means_lie_below_the_mean(kappa: float) -> None:
    values, sizes = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double(), torch.ones(3, 1).double()
    mean = combined(values, sizes, "mean", kappa)
    torch.testing.assert_close(mean, values.mean(0))
    least = combined(values, sizes, "minimum", kappa)
    assert torch.equal(least, values.amin(0))
    soft = combined(values, sizes, "soft_minimum", kappa)
    assert ((soft <= mean + 1e-12) & (soft >= least - 1e-12)).all()
    assert (combined(values, sizes, "uncertainty", kappa) <= mean + 1e-12).all()


@given(kappa=st.floats(1e-6, 1e-3))
def test_to_second_order_the_soft_minimum_is_the_uncertainty_weighted_mean(kappa: float) -> None:
    values, sizes = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double(), torch.rand(3, 1).double()
    soft = combined(values, sizes, "soft_minimum", kappa)
    torch.testing.assert_close(soft, combined(values, sizes, "uncertainty", kappa), rtol=0, atol=10 * kappa**2 + 1e-14)


@pytest.mark.parametrize(
    ("families", "error", "words"),
    [
        ({"a": "x"}, InvalidTypeError, "`reward_families` needs a list with one label per reward.*mapping from names"),
        ("abc", InvalidTypeError, "`reward_families` needs a list with one label per reward.*got 'abc'"),
        (3, InvalidTypeError, "`reward_families` needs a list with one label per reward.*got 3"),
        (["a", "b"], InvalidInputError, "`reward_families` needs one label per reward: expected 3, got 2"),
        (["a", "b", ["a", "b"]], InvalidTypeError, "a reward is of one family: got .*'b'.* for reward 2"),
        (["a", None, "b"], InvalidTypeError, "got None for reward 1"),
        (torch.tensor([0.0, 1.0, 1.0]), InvalidTypeError, "got 0.0 for reward 0"),
    ],
)
def test_families_that_are_no_labels(families: Any, error: type[Exception], words: str) -> None:
    for function, chosen in ((gd2po_advantages, {"conflict_pairs": "families"}), (consensus_advantages, {})):
        with pytest.raises(error, match=words):
            function(REWARDS, GROUP_IDS, reward_families=families, **chosen)


def test_labels_may_be_a_tensor_of_whole_numbers() -> None:
    found = [
        consensus_advantages(REWARDS, GROUP_IDS, reward_families=families).advantages
        for families in (["x", "x", "y"], torch.tensor([4, 4, -1]))
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize("chosen", [{"conflict_pairs": "correlated"}, {"conflict_pairs": "all"}, {}])
def test_families_that_would_have_no_effect_are_refused(chosen: dict[str, str]) -> None:
    word = chosen.get("conflict_pairs", "all")
    with pytest.raises(InvalidInputError, match=f"`reward_families` has no effect with conflict_pairs='{word}'"):
        gd2po_advantages(REWARDS, GROUP_IDS, reward_families=[0, 0, 1], **chosen)
    with pytest.raises(InvalidInputError, match="`reward_families` has no effect on gd2po"):
        advantages(REWARDS, GROUP_IDS, reward_families=[0, 0, 1], **chosen)


def test_a_setting_that_does_not_use_families_is_not_told_them() -> None:
    for name in ("gdpo", "gd2po-hard", "gd2po-gated", "consensus-correlated"):
        setting = Setting.named(name, "here")
        assert not setting.uses_families
        told = setting.advantages(REWARDS, GROUP_IDS, reward_families=[0, 0, 1]).advantages
        assert torch.equal(told, setting.advantages(REWARDS, GROUP_IDS).advantages)
    assert Setting.named("gd2po-families", "here").uses_families
    named = advantages(REWARDS, GROUP_IDS, method="consensus", reward_families=[0, 0, 1])
    assert torch.equal(named.advantages, consensus_advantages(REWARDS, GROUP_IDS, reward_families=[0, 0, 1]).advantages)


@pytest.mark.parametrize(
    ("label", "families", "words"),
    [
        ("gd2po-families", None, ["every reward is a family of its own"]),
        ("gd2po-families", [0, 1, 2], ["every reward is a family of its own"]),
        ("gd2po-families", [0, 0, 2], []),
        ("gd2po-hard", [0, 0, 2], ["are not used with conflict_pairs='all'"]),
        ("gd2po-gated", [0, 0, 2], ["are not used with conflict_pairs='correlated'"]),
        ("gd2po-gated", None, []),
        ("consensus", None, ["every reward is a family of its own"]),
        ("consensus", [0, 1, 2], ["every reward is a family of its own"]),
        ("consensus", [0, 0, 2], []),
        ("consensus-correlated", [0, 0, 2], ["are not used with partners='correlated'"]),
    ],
)
def test_families_without_effect_are_said(label: str, families: list[int] | None, words: list[str]) -> None:
    said = Setting.named(label, "here").warnings(REWARDS, GROUP_IDS, reward_families=families)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))


def test_ranks_of_groups_of_two_are_said_to_change_nothing() -> None:
    pairs = torch.arange(12).repeat_interleave(2)
    ranked = Setting.of({"method": "gd2po", "standardisation": "rank"}, "here")
    for setting in (ranked, Setting.named("consensus", "here")):
        assert "No group has more than two rollouts" in setting.warnings(REWARDS, pairs, reward_families=[0, 0, 1])[0]
        assert not any("two rollouts" in said for said in setting.warnings(REWARDS, GROUP_IDS))
    zscores = Setting.of({"method": "consensus", "standardisation": "zscore"}, "here")
    assert zscores.warnings(REWARDS, pairs, reward_families=[0, 0, 1]) == []
    plain = gd2po_advantages(REWARDS, pairs).advantages
    torch.testing.assert_close(ranked.advantages(REWARDS, pairs).advantages, plain, rtol=1e-4, atol=1e-4)


def test_a_partner_of_weight_0_is_no_partner() -> None:
    found = consensus_advantages(
        REWARDS, GROUP_IDS, reward_families=[0, 0, 1], reward_weights=[1.0, 0.0, 1.0], whitening="none"
    )
    plain = gdpo_advantages(REWARDS, GROUP_IDS, reward_weights=[1.0, 0.0, 1.0], whitening="none")
    torch.testing.assert_close(found.advantages, plain.advantages)
    assert math.isclose(float(found.keep_mask.double().mean()), 1)


@pytest.mark.parametrize(
    ("families", "message"),
    [
        (["x", "x"], "must be a mapping from rewards to families"),
        ({"bref": "x"}, "names a reward 'bref' that does not exist. Did you mean 'brief'?"),
        ({"brief": ["x"]}, "must name one family for each reward"),
        ({"judge": "brief"}, "has a family 'brief', and a reward of that name that is not in it"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(families: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        family_labels(families, ["judge", "brief"], "reward_families")
    assert family_labels(None, ["judge", "brief"], "reward_families") is None
