"""The advantage functions against the golden values, against the oracle, and on cases worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import DTYPES, Batch, batches, options, random_batch

from gd2po import AdvantageResult, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core.whitening import whiten

GOLDEN_CASES = json.loads((Path(__file__).parents[2] / "golden" / "advantages.json").read_text(encoding="utf-8"))
CONFLICTING = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
ONE_GROUP = torch.zeros(4, dtype=torch.int64)


def golden_result(case: dict[str, Any], dtype: torch.dtype) -> AdvantageResult:
    rewards, group_ids = torch.tensor(case["rewards"], dtype=torch.float64).to(dtype), torch.tensor(case["group_ids"])
    scale = {"scale_rewards": case["scale_by_std"]}
    if case["method"] == "grpo":
        return grpo_advantages(rewards, group_ids, **scale)
    whiten = {"whitening": case["whiten"], "token_counts": torch.tensor(case["completion_lengths"])}
    if case["method"] == "gdpo":
        return gdpo_advantages(rewards, group_ids, **scale, **whiten)
    filtering = {"filtering": "hard"}
    if case["method"] == "gd2po_snr":
        filtering = {"filtering": "snr", "snr_threshold": case["snr_threshold"], "snr_eps": case["snr_eps"]}
    return gd2po_advantages(rewards, group_ids, **filtering, **scale, **whiten)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
@pytest.mark.parametrize("case", GOLDEN_CASES, ids=lambda case: f"{case['id']}-{case['method']}")
def test_golden_advantages_are_reproduced(case: dict[str, Any], dtype: torch.dtype, tolerance: float) -> None:
    result = golden_result(case, dtype)
    expected = torch.tensor(case["advantages"], dtype=torch.float64)
    error = (result.advantages.double() - expected).abs() / (1 + expected.abs())
    assert error.max() <= tolerance
    if case["conflict_rate"] is not None:
        assert float(result.conflict_mask.double().mean()) == pytest.approx(case["conflict_rate"], abs=1e-6)
    if case["keep_rate"] is not None:
        assert float(result.keep_mask.double().mean()) == pytest.approx(case["keep_rate"], abs=1e-6)


def test_float32_and_float64_agree_on_every_sign_of_the_golden_cases() -> None:
    for case in GOLDEN_CASES:
        single, double = golden_result(case, torch.float32), golden_result(case, torch.float64)
        assert torch.equal(single.reward_advantages.sign(), double.reward_advantages.sign().float()), case["id"]
        assert torch.equal(single.advantages.sign(), double.advantages.sign().float()), case["id"]
        assert torch.equal(single.conflict_mask, double.conflict_mask), case["id"]
        assert torch.equal(single.keep_mask, double.keep_mask), case["id"]


def is_on_an_edge(expected: oracles.OracleResult, batch: Batch, chosen: dict[str, Any]) -> bool:
    """Some decision hangs on the last bits of a float, and the oracle may round them in another way."""
    scores = [snr for snr, conflict in zip(expected.snr, expected.conflict_mask, strict=True) if conflict]
    edges = [(abs(value), 1e-8, 1e-10) for row in expected.weighted for value in row]
    edges += [(snr, expected.snr_threshold, 1e-9) for snr in scores if expected.snr_threshold != 1]
    if chosen["conflict_pairs"] == "correlated":
        limit = chosen["min_correlation"] + oracles.CORRELATION_TOLERANCE
        edges += [(value, limit, 1e-9) for value in expected.correlation.values()]
    if chosen["snr_threshold"] == "auto" and chosen["filtering"] == "snr":
        edges += [(snr * 50, round(snr * 50), 1e-12) for snr in scores if snr > 0]
        for threshold in oracles.THRESHOLD_GRID:
            keep = [
                not (conflict and snr < threshold)
                for conflict, snr in zip(expected.conflict_mask, expected.snr, strict=True)
            ]
            shares = oracles.retained(expected.weighted, keep)
            shares += oracles.retained(expected.weighted, keep, negative_only=True)
            edges += [(share, chosen["min_retained"], 1e-9) for share in shares if 0 < share < 1]
    return any(abs(value - edge) < width for value, edge, width in edges)


def assert_matches(actual: torch.Tensor, expected: list[Any], dtype: torch.dtype) -> None:
    # What is computed in float64 is rounded once, to the dtype of the rewards.
    tolerance = 1e-8 + torch.finfo(dtype).eps
    rounded = torch.tensor(expected, dtype=torch.float64).to(dtype)
    torch.testing.assert_close(actual, rounded, rtol=tolerance, atol=tolerance)


def assert_matches_the_oracle(batch: Batch, chosen: dict[str, Any]) -> None:
    dtype = batch.rewards.dtype
    families = {"reward_families": batch.families} if chosen["conflict_pairs"] == "families" else {}
    expected = oracles.gd2po(
        batch.rows(),
        batch.group_ids.tolist(),
        eps=torch.finfo(dtype).eps,
        reward_weights=batch.weights,
        token_counts=batch.token_counts.tolist(),
        **families,
        **chosen,
    )
    assume(not is_on_an_edge(expected, batch, chosen))

    result = gd2po_advantages(
        batch.rewards,
        batch.group_ids,
        reward_weights=batch.weights,
        token_counts=batch.token_counts,
        **families,
        **chosen,
    )

    assert result.conflict_mask.tolist() == expected.conflict_mask
    assert result.keep_mask.tolist() == expected.keep_mask
    assert result.snr_threshold == pytest.approx(expected.snr_threshold)
    assert_matches(result.reward_advantages, expected.reward_advantages, dtype)
    assert_matches(result.snr, expected.snr, dtype)
    assert_matches(result.keep_ratio, expected.keep_ratio, dtype)
    assert_matches(result.advantages, expected.advantages, dtype)
    assert_matches(result.loss_weight, expected.loss_weight, dtype)
    torch.testing.assert_close(result.loss_advantages, result.advantages * result.loss_weight)


@settings(max_examples=3 * settings.default.max_examples)
@given(batch=batches(dtypes=DTYPES), chosen=options())
def test_gd2po_matches_the_oracle(batch: Batch, chosen: dict[str, Any]) -> None:
    assert_matches_the_oracle(batch, chosen)


@given(seed=st.integers(0, 2**32 - 1), chosen=options())
def test_gd2po_matches_the_oracle_on_batches_full_of_conflicts(seed: int, chosen: dict[str, Any]) -> None:
    assert_matches_the_oracle(random_batch(seed), chosen)


@given(
    batch=batches(dtypes=DTYPES),
    scale_rewards=st.booleans(),
    whitening=st.sampled_from(["rollouts", "tokens", "none"]),
)
def test_gdpo_matches_the_oracle(batch: Batch, scale_rewards: bool, whitening: Any) -> None:
    dtype = batch.rewards.dtype
    counts = batch.token_counts.tolist()
    shared = {"reward_weights": batch.weights, "scale_rewards": scale_rewards, "whitening": whitening}
    expected = oracles.gdpo(
        batch.rows(), batch.group_ids.tolist(), eps=torch.finfo(dtype).eps, token_counts=counts, **shared
    )
    result = gdpo_advantages(batch.rewards, batch.group_ids, token_counts=batch.token_counts, **shared)
    assert_matches(result.advantages, expected.advantages, dtype)
    assert result.keep_mask.tolist() == expected.present
    assert result.snr_threshold == 0


@given(batch=batches(dtypes=DTYPES), scale_rewards=st.booleans())
def test_grpo_matches_the_oracle(batch: Batch, scale_rewards: bool) -> None:
    dtype = batch.rewards.dtype
    shared = {"reward_weights": batch.weights, "scale_rewards": scale_rewards}
    arguments = (batch.rows(), batch.group_ids.tolist())
    expected = oracles.grpo(*arguments, eps=torch.finfo(dtype).eps, **shared)
    seen = oracles.gdpo(*arguments, eps=torch.finfo(dtype).eps, **shared)
    result = grpo_advantages(batch.rewards, batch.group_ids, **shared)
    assert_matches(result.advantages, expected, dtype)
    assert_matches(result.reward_advantages, seen.reward_advantages, dtype)
    assert_matches(result.snr, seen.snr, dtype)
    assert result.conflict_mask.tolist() == seen.conflict_mask
    assert result.keep_mask.tolist() == seen.present
    assert_matches(result.keep_ratio, seen.keep_ratio, dtype)
    assert result.snr_threshold == 0


def test_a_group_with_conflicts_by_hand() -> None:
    # Each reward is 0 or 1 with mean 1/2 and standard deviation sqrt(1/3): its advantages are +-0.5 / sqrt(1/3).
    result = gd2po_advantages(CONFLICTING.double(), ONE_GROUP, whitening="none")
    z = 0.5 / (math.sqrt(1 / 3) + 1e-6)
    assert result.reward_advantages.tolist() == [
        [pytest.approx(z), pytest.approx(-z)],
        [pytest.approx(-z), pytest.approx(z)],
        [pytest.approx(z), pytest.approx(z)],
        [pytest.approx(-z), pytest.approx(-z)],
    ]
    assert result.conflict_mask.tolist() == [True, True, False, False]
    assert result.snr.tolist() == [0, 0, 1, 1]
    assert result.keep_ratio.tolist() == [0.5, 0.5, 0.5, 0.5]
    assert result.advantages.tolist() == [0, 0, pytest.approx(0.5 * 2 * z), pytest.approx(-0.5 * 2 * z)]


def test_a_query_weight_on_the_loss_is_the_keep_ratio_outside_of_whitening() -> None:
    two_groups = torch.tensor([0] * 4 + [1] * 4)
    agreeing = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.6, 0.7], [0.1, 0.2]])
    rewards = torch.cat([CONFLICTING, agreeing]).double()
    options = {"filtering": "hard", "whitening": "rollouts"}
    on_loss = gd2po_advantages(rewards, two_groups, query_weight_in="loss", **options)
    without = gd2po_advantages(rewards, two_groups, query_reweighting=False, **options)
    in_advantage = gd2po_advantages(rewards, two_groups, **options)
    assert torch.equal(on_loss.advantages, without.advantages)
    assert torch.equal(on_loss.loss_weight, on_loss.keep_ratio)
    assert on_loss.keep_ratio.tolist() == [0.5] * 4 + [1.0] * 4
    assert torch.equal(without.loss_weight, torch.ones(8).double())
    assert torch.equal(in_advantage.loss_weight, torch.ones(8).double())
    expected = whiten(without.unwhitened * without.keep_ratio, without.keep_mask)
    torch.testing.assert_close(in_advantage.advantages, expected)
    assert not torch.allclose(in_advantage.advantages, on_loss.loss_advantages, atol=1e-3)
    off = gd2po_advantages(rewards, two_groups, query_reweighting=False, query_weight_in="loss", **options)
    assert torch.equal(off.loss_weight, torch.ones(8).double())


def test_without_query_reweighting_the_keep_ratio_is_reported_and_not_applied() -> None:
    result = gd2po_advantages(CONFLICTING.double(), ONE_GROUP, whitening="none", query_reweighting=False)
    assert result.keep_ratio.tolist() == [0.5] * 4
    assert result.advantages[2] == pytest.approx(1 / math.sqrt(1 / 3), rel=1e-5)


def test_the_score_is_exactly_1_where_all_rewards_are_at_their_means() -> None:
    result = gd2po_advantages(torch.ones(4, 2), ONE_GROUP)
    assert result.snr.tolist() == [1.0] * 4
    assert result.advantages.tolist() == [0.0] * 4


@pytest.mark.parametrize("function", [grpo_advantages, gdpo_advantages, gd2po_advantages])
def test_a_batch_of_one_rollout_gets_0(function: Any) -> None:
    result = function(torch.tensor([[3.0, -1.0]]), torch.tensor([5]))
    assert result.advantages.tolist() == [0.0]
    assert result.keep_mask.tolist() == [True]


@pytest.mark.parametrize("function", [grpo_advantages, gdpo_advantages, gd2po_advantages])
def test_a_rollout_to_which_no_reward_applies_is_out_of_everything(function: Any) -> None:
    absent = torch.full((1, 2), math.nan)
    result = function(torch.cat([CONFLICTING, absent]), torch.zeros(5, dtype=torch.int64))
    alone = function(CONFLICTING, ONE_GROUP)
    assert not result.keep_mask[4]
    assert not result.conflict_mask[4]
    assert result.advantages[4] == 0
    torch.testing.assert_close(result.advantages[:4], alone.advantages)
    torch.testing.assert_close(result.keep_ratio[:4], alone.keep_ratio)


@pytest.mark.parametrize("function", [grpo_advantages, gdpo_advantages, gd2po_advantages])
def test_where_no_reward_applies_anywhere_everything_is_0(function: Any) -> None:
    result = function(torch.full((4, 2), math.nan), ONE_GROUP)
    assert result.advantages.tolist() == [0.0] * 4
    assert result.reward_advantages.tolist() == [[0.0, 0.0]] * 4
    assert result.keep_mask.tolist() == [False] * 4
    assert result.keep_ratio.tolist() == [0.0] * 4


def test_a_rollout_that_only_a_reward_without_weight_applies_to_is_absent() -> None:
    rewards = torch.tensor([[1.0, 0.0], [0.0, 0.5], [math.nan, 1.0]])
    result = gd2po_advantages(rewards, torch.zeros(3, dtype=torch.int64), reward_weights=[1.0, 0.0])
    assert result.keep_mask.tolist() == [True, True, False]


def test_when_everything_is_dropped_all_advantages_are_0() -> None:
    result = gd2po_advantages(CONFLICTING[:2], ONE_GROUP[:2])
    assert result.keep_mask.tolist() == [False, False]
    assert result.advantages.tolist() == [0.0, 0.0]


def test_float32_noise_in_tenths_makes_no_conflict() -> None:
    # 0.2 lies at the mean of 0.1, 0.2 and 0.3, but 0.1 + 0.2 + 0.3 in floats is not 3 * 0.2.
    rewards = torch.tensor([[0.1, 1.0], [0.2, 0.0], [0.3, 2.0]], dtype=torch.float64)
    for dtype in DTYPES:
        result = gd2po_advantages(rewards.to(dtype), torch.zeros(3, dtype=torch.int64))
        assert result.reward_advantages[1, 0] == 0, dtype
        assert result.conflict_mask.tolist() == [False, False, False], dtype


def test_a_group_larger_than_the_largest_half_is_counted() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(70_000, 2).half()
    group_ids = torch.zeros(70_000, dtype=torch.int64)
    group_ids[1::1000] = 1  # not consecutive
    result, expected = (gd2po_advantages(scores, group_ids) for scores in (rewards, rewards.double()))
    torch.testing.assert_close(result.reward_advantages.double(), expected.reward_advantages, rtol=0.01, atol=0.01)
    torch.testing.assert_close(result.keep_ratio.double(), expected.keep_ratio, rtol=0.01, atol=0.01)


def test_tiny_rewards_of_16_bits_are_added_up_exactly() -> None:
    tiny = torch.finfo(torch.float16).tiny
    rewards = torch.tensor([[1.0, 2.0], [1.25, 2.0], [1.75, 2.0]]) * tiny
    expected = grpo_advantages(rewards, ONE_GROUP[:3]).advantages
    assert expected.abs().min() > 0.1
    actual = grpo_advantages(rewards.half(), ONE_GROUP[:3]).advantages
    torch.testing.assert_close(actual, expected.half(), rtol=1e-3, atol=0)


def test_weights_from_python_keep_their_precision() -> None:
    rewards = torch.tensor([[0.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    result = grpo_advantages(rewards, ONE_GROUP[:2], reward_weights=[0.1, 0.7], scale_rewards=False)
    assert result.advantages[1].item() == pytest.approx(0.5 * (0.1 + 0.7 * 3), rel=1e-15)


def test_auto_reports_the_threshold_it_used_and_keeps_what_it_promises() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(64, 3, dtype=torch.float64)
    group_ids = torch.arange(8).repeat_interleave(8)
    result = gd2po_advantages(rewards, group_ids, snr_threshold="auto", min_retained=0.7)
    assert 0 < result.snr_threshold < 1
    for threshold, enough in ((result.snr_threshold, True), (result.snr_threshold + 0.02, False)):
        keep = gd2po_advantages(rewards, group_ids, snr_threshold=threshold).keep_mask.tolist()
        rows = result.reward_advantages.tolist()
        shares = oracles.retained(rows, keep) + oracles.retained(rows, keep, negative_only=True)
        assert (min(shares) >= 0.7) is enough


def test_only_rewards_that_normally_agree_can_conflict_behind_the_gate() -> None:
    # Rewards 0 and 1 mostly agree (not on rollouts 2 and 5, by their means); reward 2 trades off against both.
    first = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    rewards = torch.stack([first, first + torch.tensor([0, 0, 0, 0, 0, -5.0]), -first], dim=1)
    group_ids = torch.zeros(6, dtype=torch.int64)
    everything = gd2po_advantages(rewards, group_ids, filtering="hard")
    gated = gd2po_advantages(rewards, group_ids, filtering="hard", conflict_pairs="correlated")
    assert everything.conflict_mask.tolist() == [True] * 6
    assert gated.conflict_mask.tolist() == [False, False, True, False, False, True]
    assert gated.keep_mask.tolist() == [True, True, False, True, True, False]


def test_a_balanced_batch_has_no_correlation_whatever_the_rounding() -> None:
    # All combinations of two independent scores: their correlation is 0, and the sums are 0 up to rounding only.
    for scores in ([0.1, 0.3], [0.1, 0.2, 0.7], [1 / 3, 0.9, 0.1, 0.7]):
        rewards = torch.cartesian_prod(torch.tensor(scores), torch.tensor(scores))
        for order in range(10):
            shuffled = rewards[torch.randperm(len(rewards), generator=torch.Generator().manual_seed(order))]
            group_ids = torch.zeros(len(rewards), dtype=torch.int64)
            gated = gd2po_advantages(shuffled, group_ids, conflict_pairs="correlated")
            assert not gated.conflict_mask.any()


def test_a_negative_weight_turns_a_trade_off_into_agreement() -> None:
    torch.manual_seed(0)
    score = torch.randn(32)
    rewards = torch.stack([score + 0.5 * torch.randn(32), -score + 0.5 * torch.randn(32)], dim=1)
    group_ids = torch.arange(4).repeat_interleave(8)
    for weights, gate_is_open in (([1.0, 1.0], False), ([1.0, -1.0], True)):
        gated = gd2po_advantages(rewards, group_ids, conflict_pairs="correlated", reward_weights=weights)
        assert bool(gated.conflict_mask.any()) is gate_is_open
