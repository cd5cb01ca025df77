"""What must hold for every batch, whatever the numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import DTYPES, SHARES, Batch, batches, options, with_rollouts_that_do_not_apply

from gd2po import AdvantageResult, diagnose_batch, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core.groups import Groups, _dense_index

TENSORS = (
    "advantages", "reward_advantages", "conflict_mask", "keep_mask", "keep_ratio", "snr", "present_mask", "unwhitened",
    "signal_mask",
)  # fmt: skip


def advantages(batch: Batch, **chosen: Any) -> AdvantageResult:
    families = {"reward_families": batch.families} if chosen.get("conflict_pairs") == "families" else {}
    return gd2po_advantages(
        batch.rewards,
        batch.group_ids,
        reward_weights=batch.weights,
        token_counts=batch.token_counts,
        **families,
        **chosen,
    )


def rows_of(batch: Batch, rows: Any) -> Batch:
    return dataclasses.replace(
        batch, rewards=batch.rewards[rows], group_ids=batch.group_ids[rows], token_counts=batch.token_counts[rows]
    )


def assert_same(actual: AdvantageResult, expected: AdvantageResult, rows: Any = slice(None)) -> None:
    """Equal up to the rounding of sums; `rows` picks those of the expected result."""
    for name in TENSORS:
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name)[rows], rtol=1e-8, atol=1e-8)
    assert actual.snr_threshold == expected.snr_threshold


@given(batch=batches(), chosen=options(), data=st.data())
def test_permuting_the_rollouts_permutes_the_result(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(batch.rewards))))
    permuted = rows_of(batch, order)
    assert_same(advantages(permuted, **chosen), advantages(batch, **chosen), order)


@given(batch=batches(), chosen=options(), data=st.data())
def test_the_names_of_the_groups_do_not_matter(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    labels = batch.group_ids.unique().tolist()
    ids = st.integers(-(2**63), 2**63 - 1)
    fresh = data.draw(st.lists(ids, min_size=len(labels), max_size=len(labels), unique=True))
    names = dict(zip(labels, fresh, strict=True))
    relabelled = torch.tensor([names[label] for label in batch.group_ids.tolist()])
    assert_same(advantages(dataclasses.replace(batch, group_ids=relabelled), **chosen), advantages(batch, **chosen))


@given(batch=batches(), chosen=options(), data=st.data())
def test_the_order_of_the_rewards_does_not_matter(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(batch.rewards.shape[1])))
    weights = batch.weights and [batch.weights[reward] for reward in order]
    families = batch.families and [batch.families[reward] for reward in order]
    permuted = dataclasses.replace(batch, rewards=batch.rewards[:, order], weights=weights, families=families)
    actual, expected = advantages(permuted, **chosen), advantages(batch, **chosen)
    assert_same(
        dataclasses.replace(actual, reward_advantages=expected.reward_advantages[:, order]),
        dataclasses.replace(expected, reward_advantages=expected.reward_advantages[:, order]),
    )


@given(batch=batches(), chosen=options(), data=st.data())
def test_without_whitening_the_groups_are_independent(
    batch: Batch, chosen: dict[str, Any], data: st.DataObject
) -> None:
    chosen |= {"whitening": "none", "conflict_pairs": "all", "snr_threshold": data.draw(SHARES)}
    rows = batch.group_ids == batch.group_ids[0]
    alone = rows_of(batch, rows)
    assert_same(advantages(alone, **chosen), advantages(batch, **chosen), rows)


@given(batch=batches(scores=("integers",)), chosen=options(), shift=st.integers(-50, 50), data=st.data())
def test_shifting_one_reward_changes_nothing(
    batch: Batch, chosen: dict[str, Any], shift: int, data: st.DataObject
) -> None:
    shifted = batch.rewards.clone()
    shifted[:, data.draw(st.integers(0, shifted.shape[1] - 1))] += shift
    assert_same(advantages(dataclasses.replace(batch, rewards=shifted), **chosen), advantages(batch, **chosen))


@given(batch=batches(scores=("integers",)), chosen=options(), scale=st.floats(1.0, 100.0), data=st.data())
def test_a_positive_scale_of_one_reward_changes_nothing_but_the_share_of_the_epsilon(
    batch: Batch, chosen: dict[str, Any], scale: float, data: st.DataObject
) -> None:
    chosen |= {"scale_rewards": True, "whitening": "none", "snr_threshold": data.draw(SHARES)}
    scaled = batch.rewards.clone()
    scaled[:, data.draw(st.integers(0, scaled.shape[1] - 1))] *= scale
    expected = advantages(batch, **chosen)
    # The epsilon beside a standard deviation of at least 0.3 moves scores by less than this.
    assume(((expected.snr - expected.snr_threshold).abs() > 1e-4).all())
    actual = advantages(dataclasses.replace(batch, rewards=scaled), **chosen)
    assert torch.equal(actual.keep_mask, expected.keep_mask)
    torch.testing.assert_close(actual.reward_advantages, expected.reward_advantages, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(actual.advantages, expected.advantages, rtol=1e-4, atol=1e-4)


@given(batch=batches(dtypes=DTYPES), chosen=options())
def test_dropped_rollouts_get_exactly_0(batch: Batch, chosen: dict[str, Any]) -> None:
    result = advantages(batch, **chosen)
    assert (result.advantages[~result.keep_mask] == 0).all()
    # Nothing is dropped but conflicts, and what no reward applies to.
    weights = torch.tensor(batch.weights or [1.0] * batch.rewards.shape[1])
    present = (~batch.rewards.isnan() & (weights != 0)).any(1)
    assert torch.equal(result.keep_mask | result.conflict_mask, present)


def finite_scores(dtype: torch.dtype, share: float) -> st.SearchStrategy[float]:
    limit = share * torch.finfo(dtype).max
    extremes = [0.0, 5e-324, 1e-308, 1e-40, -1e-8, 1.0, limit, -limit, limit / 3]
    return st.sampled_from(extremes) | st.floats(-limit, limit) | st.just(math.nan)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), chosen=options())
def test_finite_in_gives_finite_out(dtype: torch.dtype, data: st.DataObject, chosen: dict[str, Any]) -> None:
    num_rewards = data.draw(st.integers(1, 4))
    # In the rewards' own unit, sums and differences of the largest floats are beyond all floats.
    score = finite_scores(dtype, 1.0 if chosen["scale_rewards"] else 1e-3)
    rows = data.draw(st.lists(st.lists(score, min_size=num_rewards, max_size=num_rewards), min_size=1, max_size=8))
    rewards = torch.tensor(rows, dtype=torch.float64).to(dtype)
    group_ids = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows))))
    shared = {"scale_rewards": chosen["scale_rewards"]}
    whiten = {"whitening": chosen["whitening"], "token_counts": torch.arange(len(rows))}
    results = [
        grpo_advantages(rewards, group_ids, **shared),
        gdpo_advantages(rewards, group_ids, **shared, **whiten),
        gd2po_advantages(rewards, group_ids, token_counts=torch.arange(len(rows)), **chosen),
    ]
    for result in results:
        for name in TENSORS:
            assert getattr(result, name).isfinite().all(), name
        assert ((result.snr >= 0) & (result.snr <= 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [grpo_advantages, gdpo_advantages, gd2po_advantages])
def test_rewards_at_the_largest_float_are_standardised_like_any_other(function: Any, dtype: torch.dtype) -> None:
    signs = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [-1.0, -1.0, 0.0], [0.0, 0.0, 0.0]], dtype=dtype)
    group_ids = torch.zeros(4, dtype=torch.int64)
    expected = function(1024 * signs, group_ids)
    actual = function(torch.finfo(dtype).max * signs, group_ids)
    torch.testing.assert_close(actual.advantages, expected.advantages, rtol=1e-2, atol=1e-2)
    assert torch.equal(actual.keep_mask, expected.keep_mask)


@given(batch=batches(dtypes=DTYPES), chosen=options())
def test_dtype_device_and_shape_are_kept(batch: Batch, chosen: dict[str, Any]) -> None:
    result = advantages(batch, **chosen)
    num_rollouts, num_rewards = batch.rewards.shape
    for name in TENSORS:
        value = getattr(result, name)
        assert value.dtype == (torch.bool if name.endswith("_mask") else batch.rewards.dtype)
        assert value.device == batch.rewards.device
        assert value.shape == ((num_rollouts, num_rewards) if name == "reward_advantages" else (num_rollouts,))
    assert isinstance(result.snr_threshold, float)


@given(batch=batches(), chosen=options())
def test_inputs_are_not_changed_and_outputs_stand_alone(batch: Batch, chosen: dict[str, Any]) -> None:
    inputs = (batch.rewards, batch.group_ids, batch.token_counts)
    copies = [tensor.clone() for tensor in inputs]
    results = [
        advantages(batch, **chosen),
        gdpo_advantages(batch.rewards, batch.group_ids),
        grpo_advantages(batch.rewards, batch.group_ids),
    ]
    before = [getattr(result, name).clone() for result in results for name in TENSORS]
    # Nobody who writes into one tensor may change another, nor two places at once.
    for result in results:
        for name in TENSORS:
            value = getattr(result, name)
            for index in range(len(value)):
                value[index] = value[index].logical_not() if name.endswith("_mask") else value[index] + 1
    after = [getattr(result, name) for result in results for name in TENSORS]
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, ~old if old.dtype == torch.bool else old + 1)
    for tensor, copy in zip(inputs, copies, strict=True):
        torch.testing.assert_close(tensor, copy, rtol=0, atol=0, equal_nan=True)


def test_gradients_do_not_flow_into_advantages() -> None:
    rewards = torch.rand(4, 2, requires_grad=True)
    weights = torch.rand(2, requires_grad=True)
    result = gd2po_advantages(rewards, torch.zeros(4, dtype=torch.int64), reward_weights=weights)
    assert not any(getattr(result, name).requires_grad for name in TENSORS)


@given(batch=batches(max_rewards=1, weighted=False, dtypes=DTYPES), chosen=options())
def test_with_one_reward_and_no_whitening_all_methods_are_equal(batch: Batch, chosen: dict[str, Any]) -> None:
    chosen |= {"whitening": "none", "standardisation": "zscore"}
    scale = chosen["scale_rewards"]
    grpo = grpo_advantages(batch.rewards, batch.group_ids, scale_rewards=scale).advantages
    gdpo = gdpo_advantages(batch.rewards, batch.group_ids, scale_rewards=scale, whitening="none").advantages
    torch.testing.assert_close(gdpo, grpo)
    torch.testing.assert_close(advantages(batch, **chosen).advantages, grpo)


def gdpo_of(batch: Batch, chosen: dict[str, Any]) -> torch.Tensor:
    shared = {name: chosen[name] for name in ("scale_rewards", "whitening")}
    return gdpo_advantages(
        batch.rewards, batch.group_ids, reward_weights=batch.weights, token_counts=batch.token_counts, **shared
    ).advantages


@given(batch=batches(), chosen=options())
def test_threshold_0_no_filter_and_retaining_everything_are_gdpo(batch: Batch, chosen: dict[str, Any]) -> None:
    chosen["standardisation"] = "zscore"
    expected = gdpo_of(batch, chosen)
    for dial in (
        {"filtering": "snr", "snr_threshold": 0.0},
        {"filtering": "none"},
        {"filtering": "snr", "snr_threshold": "auto", "min_retained": 1.0},
    ):
        torch.testing.assert_close(advantages(batch, **(chosen | dial)).advantages, expected, rtol=1e-9, atol=1e-9)


@given(batch=batches(), chosen=options())
def test_threshold_1_and_retaining_nothing_are_the_hard_filter(batch: Batch, chosen: dict[str, Any]) -> None:
    expected = advantages(batch, **(chosen | {"filtering": "hard"}))
    assert torch.equal(expected.keep_mask, expected.keep_mask & ~expected.conflict_mask)
    for dial in ({"snr_threshold": 1.0}, {"snr_threshold": 1}, {"snr_threshold": "auto", "min_retained": 0.0}):
        assert_same(advantages(batch, **(chosen | {"filtering": "snr"} | dial)), expected)


def test_threshold_1_is_hard_even_where_the_score_of_a_conflict_rounds_to_1() -> None:
    rewards = torch.tensor([[0.0, 1.0], [1e12, 0.0]], dtype=torch.float64)
    group_ids = torch.zeros(2, dtype=torch.int64)
    for dial in ({"snr_threshold": 1.0}, {"snr_threshold": "auto", "min_retained": 0.0}):
        result = gd2po_advantages(rewards, group_ids, scale_rewards=False, reward_weights=[1e6, 1.0], **dial)
        assert result.snr.tolist() == [1.0, 1.0]
        assert result.keep_mask.tolist() == [False, False]


@given(batch=batches(), chosen=options())
def test_a_higher_threshold_never_keeps_more(batch: Batch, chosen: dict[str, Any]) -> None:
    chosen["filtering"] = "snr"
    previous = None
    for threshold in (0.0, 0.2, 0.5, 0.8, 1.0):
        keep = advantages(batch, **(chosen | {"snr_threshold": threshold})).keep_mask
        if previous is not None:
            assert not (keep & ~previous).any()
        previous = keep


@given(batch=batches(), chosen=options())
def test_the_gate_open_to_every_pair_changes_nothing_and_shut_it_is_gdpo(batch: Batch, chosen: dict[str, Any]) -> None:
    chosen["standardisation"] = "zscore"
    plain = advantages(batch, **(chosen | {"conflict_pairs": "all"}))
    correlation = diagnose_batch(batch.rewards, batch.group_ids, plain, reward_weights=batch.weights).correlation
    gate = chosen | {"conflict_pairs": "correlated"}
    if not (correlation < -0.999).any():
        assert_same(advantages(batch, **(gate | {"min_correlation": -1.0})), plain)
    shut = advantages(batch, **(gate | {"min_correlation": 1.0}))
    assert not shut.conflict_mask.any()
    torch.testing.assert_close(shut.advantages, gdpo_of(batch, chosen), rtol=1e-9, atol=1e-9)


@given(batch=batches(min_rewards=2, weighted=False), chosen=options(), data=st.data())
def test_a_weight_of_0_is_as_good_as_no_such_reward(batch: Batch, chosen: dict[str, Any], data: st.DataObject) -> None:
    num_rewards = batch.rewards.shape[1]
    out = data.draw(st.integers(0, num_rewards - 1))
    others = [reward for reward in range(num_rewards) if reward != out]
    weighted = dataclasses.replace(batch, weights=[float(reward != out) for reward in range(num_rewards)])
    families = batch.families and [batch.families[reward] for reward in others]
    without = dataclasses.replace(batch, rewards=batch.rewards[:, others], families=families)
    result = advantages(weighted, **chosen)
    assert_same(
        dataclasses.replace(result, reward_advantages=result.reward_advantages[:, others]),
        advantages(without, **chosen),
    )
    weights = weighted.weights
    torch.testing.assert_close(
        grpo_advantages(batch.rewards, batch.group_ids, reward_weights=weights).advantages,
        grpo_advantages(without.rewards, batch.group_ids).advantages,
    )


@given(batch=batches(), chosen=options())
def test_rollouts_to_which_nothing_applies_change_nothing(batch: Batch, chosen: dict[str, Any]) -> None:
    doubled = with_rollouts_that_do_not_apply(batch)
    rows = slice(0, len(batch.rewards))
    expected = advantages(batch, **chosen)
    actual = advantages(doubled, **chosen)
    for name in TENSORS:
        torch.testing.assert_close(getattr(actual, name)[rows], getattr(expected, name), rtol=1e-8, atol=1e-8)
    assert actual.snr_threshold == expected.snr_threshold
    assert not actual.advantages[len(batch.rewards) :].any()


@given(batch=batches(), chosen=options(), data=st.data())
def test_the_layout_of_the_groups_does_not_change_the_result(
    batch: Batch, chosen: dict[str, Any], data: st.DataObject
) -> None:
    def without_fetching(group_ids: torch.Tensor) -> Groups:
        """What an accelerator gets: as many slots as rollouts."""
        return Groups(len(group_ids), None, _dense_index(group_ids), len(group_ids))

    weights = batch.weights
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Groups, "from_ids", staticmethod(without_fetching))
        elsewhere = advantages(batch, **chosen)
        elsewhere_diagnosed = diagnose_batch(batch.rewards, batch.group_ids, elsewhere, reward_weights=weights)
    here = advantages(batch, **chosen)
    assert_same(elsewhere, here)
    diagnosed = diagnose_batch(batch.rewards, batch.group_ids, here, reward_weights=weights)
    for field in dataclasses.fields(diagnosed):
        pair = getattr(elsewhere_diagnosed, field.name), getattr(diagnosed, field.name)
        torch.testing.assert_close(*pair, rtol=1e-8, atol=1e-8, equal_nan=True)
