"""The diagnostics against the oracle, and on batches worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import Batch, batches, options, random_batch
from torch import Tensor

from gd2po import binary_snr_ceiling, diagnose_batch, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core.correlations import correlation
from gd2po.core.statistics import STATISTICS, TERMS, Signals
from gd2po.errors import InvalidInputError, InvalidTypeError


def statistic(name: str, weighted: Tensor, **given: Any) -> Tensor:
    """One statistic of weighted advantages, with what else it looks at."""
    size, group_ids = len(weighted), given.pop("group_ids", torch.zeros(len(weighted)))
    same = group_ids[:, None] == group_ids
    every = torch.ones(size, dtype=torch.bool)
    result = {"present_mask": every, "keep_mask": every, "loss_advantages": torch.zeros(size)} | given
    signals = Signals(
        weighted=weighted,
        reward_advantages=weighted,
        applies=torch.ones_like(weighted, dtype=torch.bool),
        result=SimpleNamespace(**result),
        group_share=1 / same.sum(1),
        silent=(same.to(weighted.dtype) @ weighted.abs()).sum(1) == 0,
    )
    found = STATISTICS[name]
    return found.of({term: TERMS[term](signals).sum(0) for term in found.terms})


def assert_close(actual: Tensor, expected: Any) -> None:
    assert actual.dtype == torch.float64
    torch.testing.assert_close(
        actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-8, atol=1e-8, equal_nan=True
    )


def pairwise(found: dict[tuple[int, int], float], diagonal: list[float]) -> list[list[float]]:
    size = range(len(diagonal))
    return [[diagonal[j] if j == k else found[min(j, k), max(j, k)] for k in size] for j in size]


def assert_diagnostics_match_the_oracle(batch: Batch, chosen: dict[str, Any]) -> None:
    result = gd2po_advantages(
        batch.rewards, batch.group_ids, reward_weights=batch.weights, token_counts=batch.token_counts, **chosen
    )
    diagnostics = diagnose_batch(batch.rewards, batch.group_ids, result, reward_weights=batch.weights)

    # The diagnostics are of the result at hand, so the oracle starts from its decisions.
    weights = batch.weights or [1.0] * batch.rewards.shape[1]
    seen = oracles.OracleResult(
        advantages=result.loss_advantages.tolist(),
        reward_advantages=result.reward_advantages.tolist(),
        weighted=oracles.weigh(result.reward_advantages.tolist(), weights),
        present=oracles.presence(batch.rows(), weights),
        conflict_mask=result.conflict_mask.tolist(),
        keep_mask=result.keep_mask.tolist(),
        keep_ratio=result.keep_ratio.tolist(),
        snr=result.snr.tolist(),
        snr_threshold=result.snr_threshold,
        loss_weight=[1.0] * len(batch.rewards),  # it is in the advantages
    )
    group_ids = batch.group_ids.tolist()
    assert_close(diagnostics.cancellation, oracles.cancellation(seen))
    assert_close(diagnostics.zero_signal_group_rate, oracles.zero_signal_group_rate(seen, group_ids))
    varies = {seen_id for seen_id, row in zip(group_ids, seen.weighted, strict=True) if any(row)}
    signalling = {seen_id for seen_id, signal in zip(group_ids, result.signal_mask.tolist(), strict=True) if signal}
    assert_close(diagnostics.cancelled_group_rate, len(varies - signalling) / len(set(group_ids)))
    assert_close(diagnostics.retained, oracles.retained(seen.weighted, seen.keep_mask))
    assert_close(diagnostics.retained_negative, oracles.retained(seen.weighted, seen.keep_mask, negative_only=True))
    found = oracles.correlations(seen.weighted, batch.rows())
    has_signal = [1.0 if any(column) else math.nan for column in zip(*seen.weighted, strict=True)]
    assert_close(diagnostics.correlation, pairwise(found, has_signal))

    present = [rollout for rollout, is_present in enumerate(seen.present) if is_present]
    if not present:
        assert diagnostics.conflict_rate.isnan()
        assert diagnostics.alignment.isnan().all()
        return
    kept = sum(seen.keep_mask)
    assert_close(diagnostics.conflict_rate, oracles.conflict_rate(seen))
    assert_close(diagnostics.filtered_rate, 1 - kept / len(present))
    assert_close(diagnostics.keep_ratio_mean, sum(seen.keep_ratio[rollout] for rollout in present) / len(present))
    assert_close(diagnostics.snr_mean, sum(seen.snr[rollout] for rollout in present) / len(present))
    assert_close(diagnostics.alignment, oracles.alignment(seen))
    rates = oracles.pair_conflict_rates(seen)
    assert_close(diagnostics.pairwise_conflict_rate, pairwise(rates, [0.0] * len(weights)))


@given(batch=batches(), chosen=options())
def test_diagnostics_match_the_oracle(batch: Batch, chosen: dict[str, Any]) -> None:
    assert_diagnostics_match_the_oracle(batch, chosen)


@given(seed=st.integers(0, 2**32 - 1), chosen=options())
def test_diagnostics_match_the_oracle_on_batches_full_of_conflicts(seed: int, chosen: dict[str, Any]) -> None:
    batch = random_batch(seed)
    batch.rewards = batch.rewards.double()
    assert_diagnostics_match_the_oracle(batch, chosen)


def test_diagnostics_of_half_a_batch_in_conflict_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [5.0, 5.0], [5.0, 5.0]])
    group_ids = torch.tensor([0, 0, 0, 0, 1, 1])
    result = gd2po_advantages(rewards, group_ids, whitening="none")
    diagnostics = diagnose_batch(rewards, group_ids, result)
    assert float(diagnostics.conflict_rate) == pytest.approx(2 / 6)
    assert float(diagnostics.filtered_rate) == pytest.approx(2 / 6)
    assert float(diagnostics.keep_ratio_mean) == pytest.approx((4 * 0.5 + 2) / 6)
    assert float(diagnostics.snr_mean) == pytest.approx(4 / 6)
    assert float(diagnostics.cancellation) == pytest.approx(0.5)
    assert float(diagnostics.zero_signal_group_rate) == 0.5
    assert diagnostics.retained.tolist() == pytest.approx([0.5, 0.5])
    assert diagnostics.retained_negative.tolist() == pytest.approx([0.5, 0.5])
    assert diagnostics.alignment.tolist() == pytest.approx([2 * 0.75 / 6] * 2, rel=1e-5)
    assert diagnostics.correlation.tolist() == [[1, 0], [0, 1]]
    assert diagnostics.pairwise_conflict_rate.tolist() == [[0, pytest.approx(2 / 6)], [pytest.approx(2 / 6), 0]]


def test_the_negative_side_of_what_is_retained_stands_alone() -> None:
    weighted = torch.tensor([[4.0, -1.0], [-4.0, 1.0], [2.0, 2.0]])
    keep = torch.tensor([True, False, True])
    assert statistic("retained", weighted, keep_mask=keep).tolist() == pytest.approx([0.6, 0.75])
    assert statistic("retained_negative", weighted, keep_mask=keep).tolist() == [0.0, 1.0]


def test_alignment_has_the_sign_of_what_the_update_does_to_the_reward() -> None:
    reward_advantages = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]])
    found = statistic("alignment", reward_advantages, loss_advantages=torch.tensor([3.0, -3.0, 0.0]))
    assert found.tolist() == [2.0, 0.0]


def test_correlation_is_over_the_rollouts_that_both_rewards_share() -> None:
    reward_advantages = torch.tensor([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [2.0, 0.0, 1.0], [-2.0, 0.0, -1.0]])
    applies = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]]).bool()
    found = correlation(reward_advantages, applies)
    assert found[0].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert found[1, 2].isnan()
    assert torch.equal(correlation(reward_advantages.T, applies.T, dim=0).nan_to_num(7.0), found.nan_to_num(7.0))
    # Where a reward does not apply is not the same as where it is at its mean.
    assert float(correlation(reward_advantages)[0, 1]) == pytest.approx(2 / math.sqrt(10 * 2))


def test_opposite_rewards_correlate_at_minus_1() -> None:
    column = torch.randn(9, 1, dtype=torch.float64)
    assert float(correlation(torch.cat([column, -3 * column], dim=1))[0, 1]) == pytest.approx(-1)


def test_pairs_conflict_in_either_order_and_beyond_the_tolerance() -> None:
    weighted = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [1.0, -1e-9, 1.0], [2.0, 2.0, -2.0]])
    assert statistic("pairwise_conflict_rate", weighted).tolist() == [0.5, 0.5, 0.25]


def test_cancellation_is_the_share_lost_in_the_sum() -> None:
    assert float(statistic("cancellation", torch.tensor([[3.0, -1.0], [2.0, 2.0]]))) == pytest.approx(1 - 6 / 8)
    assert statistic("cancellation", torch.zeros(2, 2)).isnan()


def test_a_group_whose_sum_is_constant_still_has_signal() -> None:
    weighted = torch.tensor([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]])
    group_ids = torch.tensor([3, 8, 8, 3, -5])
    found = statistic("zero_signal_group_rate", weighted, group_ids=group_ids)
    assert float(found) == pytest.approx(2 / 3)
    rewards, group_ids = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2, dtype=torch.int64)
    assert diagnose_batch(rewards, group_ids, grpo_advantages(rewards, group_ids)).zero_signal_group_rate == 0


@pytest.mark.parametrize(("num_rewards", "group_size"), [(2, 2), (2, 4), (3, 4), (2, 8), (3, 8), (4, 3)])
def test_the_binary_ceiling_is_the_largest_score_of_all_binary_groups(num_rewards: int, group_size: int) -> None:
    expected = oracles.binary_snr_ceiling(num_rewards, group_size)
    assert binary_snr_ceiling(num_rewards, group_size) == pytest.approx(expected, rel=1e-12)


def test_the_binary_ceiling_is_reached_by_a_real_group() -> None:
    # The first rollout alone passes the first check: its advantage there is the strongest against one failed check.
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    result = gd2po_advantages(rewards, torch.zeros(4, dtype=torch.int64))
    mixed = result.snr[result.conflict_mask]
    assert float(mixed.max()) == pytest.approx(binary_snr_ceiling(2, 4), abs=1e-6)


@pytest.mark.parametrize(("num_rewards", "group_size"), [(1, 4), (3, 1), (0, 0)])
def test_the_binary_ceiling_needs_mixed_signs(num_rewards: int, group_size: int) -> None:
    with pytest.raises(InvalidInputError, match=r"at least 2.*got"):
        binary_snr_ceiling(num_rewards, group_size)


def test_diagnosing_looks_at_its_arguments() -> None:
    rewards, group_ids = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    result = grpo_advantages(rewards, group_ids)
    with pytest.raises(InvalidInputError, match=r"`result` must come from these `rewards`.*\(4, 1\).*\(4, 2\)"):
        diagnose_batch(rewards[:, :1], group_ids, result)
    with pytest.raises(InvalidInputError, match=r"`group_ids`.*expected 4.*got 3"):
        diagnose_batch(rewards, group_ids[:3], result)
    with pytest.raises(InvalidInputError, match=r"`reward_weights`.*\(2,\).*\(3,\)"):
        diagnose_batch(rewards, group_ids, result, reward_weights=[1, 1, 1])
    with pytest.raises(InvalidTypeError, match="`group_ids` needs integers"):
        diagnose_batch(rewards, group_ids.float(), result)


def test_a_group_whose_rewards_cancel_under_the_method_is_counted_as_cancelled() -> None:
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [2.0, 2.0], [2.0, 2.0]])
    group_ids = torch.tensor([0, 0, 1, 1, 2, 2])
    diagnosed = diagnose_batch(rewards, group_ids, gdpo_advantages(rewards, group_ids, whitening="none"))
    assert float(diagnosed.cancelled_group_rate) == pytest.approx(1 / 3)
    assert float(diagnosed.zero_signal_group_rate) == pytest.approx(1 / 3)


def test_sums_over_parts_of_a_batch_give_the_statistics_of_the_whole() -> None:
    batch = random_batch(3)
    result = gd2po_advantages(batch.rewards, batch.group_ids, whitening="none")
    whole = diagnose_batch(batch.rewards, batch.group_ids, result)
    signals = Signals.of(batch.rewards, batch.group_ids, result)
    for name, found in STATISTICS.items():
        terms = {term: TERMS[term](signals) for term in found.terms}
        parts = {term: values[::2].sum(0) + values[1::2].sum(0) for term, values in terms.items()}
        expected = getattr(whole, name)
        if found.per == "pair":
            expected = expected[signals.pairs]
        torch.testing.assert_close(found.of(parts).reshape(expected.shape), expected, equal_nan=True)


def test_a_group_with_nothing_but_penalties_has_signal() -> None:
    rewards, group_ids = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 0, 1, 1])
    result = gdpo_advantages(rewards, group_ids)
    penalties = torch.tensor([[0.0, -1.0], [0.0, -2.0], [0.0, 0.0], [0.0, 0.0]], dtype=result.reward_advantages.dtype)
    result = dataclasses.replace(result, reward_advantages=penalties)
    assert diagnose_batch(rewards, group_ids, result).zero_signal_group_rate.item() == 0.5
