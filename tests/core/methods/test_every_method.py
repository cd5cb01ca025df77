"""What holds for every method of the table: the oracles, and properties that no batch may break."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from method_oracles import ORACLES, Input, expected_of, reward_varies_mask, signal_mask
from strategies import (
    DTYPES,
    Batch,
    batch_for,
    batches,
    method_cases,
    method_options,
    random_batch,
    with_rollouts_that_do_not_apply,
)
from torch import Tensor

from gd2po import METHODS, AdvantageResult, Setting, core, gdpo_advantages
from gd2po import reward_varies_mask as reward_varies_mask_of_core
from gd2po.core.groups import Groups, _dense_index
from gd2po.core.tolerances import SIGNAL_TOLERANCE, SIGNAL_TOLERANCE_32

NAMES = list(METHODS)
SUM_FIRST = ["grpo", "dr_grpo", "rloo", "reinforce_plus_plus_baseline"]  # saw too, in one of its modes
OVER_THE_BATCH = ["gdpo_corr", "dara", "saw", "sa_mrpo"]  # gd2po and consensus too, with some of their options
UNIT_FREE = ["gdpo", "gd2po", "consensus", "mo_grpo", "gdpo_corr", "dara", "saw", "sa_mrpo", "rvpo"]
FIELDS = (
    "advantages", "unwhitened", "reward_advantages", "components", "advantage_components", "multipliers", "signal_mask",
    "present_mask", "conflict_mask", "keep_mask", "keep_ratio", "snr",
)  # fmt: skip

Case = tuple[str, Batch, dict[str, Any]]


def result_of(name: str, batch: Batch, options: dict[str, Any]) -> AdvantageResult:
    return Setting.of({"method": name, **options}, "here").advantages(
        batch.rewards,
        batch.group_ids,
        reward_weights=batch.weights,
        reward_families=batch.families,
        token_counts=batch.token_counts,
    )


def rows_of(batch: Batch, rows: Any) -> Batch:
    return dataclasses.replace(
        batch, rewards=batch.rewards[rows], group_ids=batch.group_ids[rows], token_counts=batch.token_counts[rows]
    )


def has_rows(field: str, value: Tensor, num_rollouts: int, name: str) -> bool:
    """The first dimension of the field is that of the rollouts."""
    return field != "multipliers" or name in ("dvao", "corr_grpo", "rvpo")


def assert_same(name: str, actual: AdvantageResult, expected: AdvantageResult, rows: Any = slice(None)) -> None:
    """Equal up to the rounding of sums; `rows` picks those of the expected result."""
    for field in FIELDS:
        wanted, found = getattr(expected, field), getattr(actual, field)
        assert (wanted is None) == (found is None), field
        if wanted is not None:
            wanted = wanted[rows] if has_rows(field, wanted, len(expected.advantages), name) else wanted
            torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8, msg=lambda text, f=field: f"{f}: {text}")
    assert actual.snr_threshold == expected.snr_threshold


def assert_near(actual: Tensor, expected: Any, dtype: torch.dtype, what: str) -> None:
    # What is computed in float64 is rounded once, to the dtype of the rewards.
    tolerance = 1e-8 + torch.finfo(dtype).eps
    rounded = torch.tensor(expected, dtype=torch.float64).to(dtype)
    torch.testing.assert_close(
        actual, rounded.reshape(actual.shape), rtol=tolerance, atol=tolerance, msg=lambda text: f"{what}: {text}"
    )


def assert_matches_the_oracle(name: str, batch: Batch, options: dict[str, Any]) -> None:
    dtype, num_rewards = batch.rewards.dtype, batch.rewards.shape[1]
    given = Input(
        batch.rows(),
        batch.group_ids.tolist(),
        torch.finfo(dtype).eps,
        batch.weights or [1.0] * num_rewards,
        batch.token_counts.tolist(),
        batch.families,
    )
    own = {option: value for option, value in options.items() if option != "whitening"}
    expected = expected_of(name, given, options["whitening"], own)
    assume(not expected.near_an_edge)
    tolerance = SIGNAL_TOLERANCE if dtype == torch.float64 else SIGNAL_TOLERANCE_32
    assume(all(abs(abs(value) - tolerance) > 0.01 * tolerance for value in expected.unwhitened))

    result = result_of(name, batch, options)
    assert_near(result.unwhitened, expected.unwhitened, dtype, "unwhitened")
    assert_near(result.advantages, expected.advantages, dtype, "advantages")
    for field in ("components", "multipliers"):
        wanted = getattr(expected, field)
        assert (wanted is None) == (getattr(result, field) is None), field
        if wanted is not None:
            assert_near(getattr(result, field), wanted, dtype, field)
    assert result.signal_mask.tolist() == signal_mask(given, expected.unwhitened, tolerance)
    assert result.present_mask.tolist() == given.present()
    assert result.keep_mask.tolist() == (expected.keep or given.present())
    varies = reward_varies_mask_of_core(batch.rewards, batch.group_ids, reward_weights=batch.weights)
    assert varies.tolist() == reward_varies_mask(given)


def test_every_method_has_an_oracle() -> None:
    assert set(ORACLES) | {"gd2po"} == set(METHODS)


@pytest.mark.parametrize("name", ORACLES)
@given(data=st.data())
def test_every_method_matches_its_oracle(name: str, data: st.DataObject) -> None:
    batch = batch_for(name, data.draw(batches(dtypes=DTYPES)))
    assert_matches_the_oracle(name, batch, data.draw(method_options(name, batch)))


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_every_method_matches_its_oracle_on_larger_batches(name: str, seed: int, data: st.DataObject) -> None:
    batch = batch_for(name, random_batch(seed))
    assert_matches_the_oracle(name, batch, data.draw(method_options(name, batch)))


@given(case=method_cases(NAMES), data=st.data())
def test_permuting_the_rollouts_permutes_the_result(case: Case, data: st.DataObject) -> None:
    name, batch, options = case
    order = data.draw(st.permutations(range(len(batch.rewards))))
    permuted = rows_of(batch, order)
    assert_same(name, result_of(name, permuted, options), result_of(name, batch, options), order)


@given(case=method_cases(NAMES), data=st.data())
def test_the_names_of_the_groups_do_not_matter(case: Case, data: st.DataObject) -> None:
    name, batch, options = case
    labels = batch.group_ids.unique().tolist()
    ids = st.integers(-(2**63), 2**63 - 1)
    fresh = data.draw(st.lists(ids, min_size=len(labels), max_size=len(labels), unique=True))
    names = dict(zip(labels, fresh, strict=True))
    relabelled = torch.tensor([names[label] for label in batch.group_ids.tolist()])
    actual = result_of(name, dataclasses.replace(batch, group_ids=relabelled), options)
    assert_same(name, actual, result_of(name, batch, options))


@given(case=method_cases([name for name in NAMES if name not in OVER_THE_BATCH]))
def test_without_whitening_groups_are_independent(case: Case) -> None:
    name, batch, options = case
    options["whitening"] = "none"
    assume(options.get("conflict_pairs") != "correlated" and options.get("snr_threshold") != "auto")
    rows = batch.group_ids == batch.group_ids[0]
    alone = rows_of(batch, rows)
    expected = result_of(name, batch, options)
    torch.testing.assert_close(
        result_of(name, alone, options).advantages, expected.advantages[rows], rtol=1e-8, atol=1e-8
    )


@given(case=method_cases(NAMES, scores=("integers",)), shift=st.integers(-50, 50), data=st.data())
def test_shifting_one_reward_changes_nothing(case: Case, shift: int, data: st.DataObject) -> None:
    name, batch, options = case
    assume(not batch.rewards.isnan().any() or (name not in SUM_FIRST and options.get("mode") != "grpo"))
    reward = data.draw(st.integers(0, batch.rewards.shape[1] - 1))
    shifted = batch.rewards.clone()
    shifted[:, reward] += shift
    moved = {}
    if name == "saw":
        moved["reward_minima"] = [least + shift * (k == reward) for k, least in enumerate(options["reward_minima"])]
    if name == "sa_mrpo":
        moved["reward_bounds"] = [
            [end + shift * (k == reward) for end in ends] for k, ends in enumerate(options["reward_bounds"])
        ]
    actual = result_of(name, dataclasses.replace(batch, rewards=shifted), options | moved)
    assert_same(name, actual, result_of(name, batch, options))


def scaled(case: Case, reward: int, scale: float) -> AdvantageResult:
    """The result of the case with one reward in another unit."""
    name, batch, options = case
    rewards = batch.rewards.clone()
    rewards[:, reward] *= scale
    factors = [scale if k == reward else 1.0 for k in range(rewards.shape[1])]
    moved = {}
    if name == "saw":
        moved["reward_minima"] = [f * least for f, least in zip(factors, options["reward_minima"], strict=True)]
    if name == "sa_mrpo":
        bounds = zip(factors, options["reward_bounds"], strict=True)
        moved["reward_bounds"] = [sorted(f * end for end in ends) for f, ends in bounds]
    return result_of(name, dataclasses.replace(batch, rewards=rewards), options | moved)


@given(case=method_cases(UNIT_FREE, scores=("integers",)), scale=st.floats(1.0, 100.0), data=st.data())
def test_the_unit_of_a_reward_means_nothing_but_the_share_of_the_epsilon(
    case: Case, scale: float, data: st.DataObject
) -> None:
    name, batch, options = case
    options |= {"whitening": "none"}
    if name in ("gdpo", "gd2po"):
        options |= {"scale_rewards": True}
    if name == "gd2po":
        options |= {"filtering": "none"}
    if name == "consensus":
        options |= {"drop_conflicts": "none", "partners": "declared"}
        batch = dataclasses.replace(batch, families=batch.families or [0] * batch.rewards.shape[1])
    if name == "saw":
        options |= {"mode": "gdpo"}
    actual = scaled((name, batch, options), data.draw(st.integers(0, batch.rewards.shape[1] - 1)), scale)
    expected = result_of(name, batch, options)
    torch.testing.assert_close(actual.advantages, expected.advantages, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNIT_FREE])
def test_the_unit_of_a_reward_decides_signs_in_the_others(name: str) -> None:
    batch = Batch(
        torch.tensor([[0.0, 3.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]).double(),
        torch.zeros(4).long(),
        torch.ones(4),
        None,
    )
    before = result_of(name, batch, {"whitening": "none"}).advantages
    after = scaled((name, batch, {"whitening": "none"}), 0, 10.0).advantages
    assert (before.sign() != after.sign()).any()


@given(case=method_cases([name for name in NAMES if name != "saw"]), data=st.data())
def test_a_negative_weight_is_the_positive_one_on_the_negated_reward(case: Case, data: st.DataObject) -> None:
    name, batch, options = case
    reward = data.draw(st.integers(0, batch.rewards.shape[1] - 1))
    weights = list(batch.weights or [1.0] * batch.rewards.shape[1])
    negated = batch.rewards.clone()
    negated[:, reward] *= -1
    weights[reward] *= -1
    moved = {}
    if name == "sa_mrpo":
        moved["reward_bounds"] = [
            [-high, -low] if k == reward else [low, high] for k, (low, high) in enumerate(options["reward_bounds"])
        ]
    actual = result_of(name, dataclasses.replace(batch, rewards=negated, weights=weights), options | moved)
    expected = result_of(name, batch, options)
    for field in ("advantages", "unwhitened", "components", "multipliers", "keep_mask"):
        wanted = getattr(expected, field)
        if wanted is not None:
            torch.testing.assert_close(getattr(actual, field), wanted, rtol=1e-8, atol=1e-8)


@given(case=method_cases(NAMES, min_rewards=2), data=st.data())
def test_a_weight_of_0_is_as_good_as_no_such_reward(case: Case, data: st.DataObject) -> None:
    name, batch, options = case
    num_rewards = batch.rewards.shape[1]
    out = data.draw(st.integers(0, num_rewards - 1))
    others = [reward for reward in range(num_rewards) if reward != out]
    weights = list(batch.weights or [1.0] * num_rewards)
    weights[out] = 0.0
    fewer = {need: [options[need][reward] for reward in others] for need in METHODS[name].needs}
    ignored = {}
    if name == "saw":
        ignored["reward_minima"] = [math.nan if k == out else x for k, x in enumerate(options["reward_minima"])]
    if name == "sa_mrpo":
        ignored["reward_bounds"] = [[5, -math.inf] if k == out else x for k, x in enumerate(options["reward_bounds"])]
    result = result_of(name, dataclasses.replace(batch, weights=weights), options | ignored)
    without = dataclasses.replace(
        batch,
        rewards=batch.rewards[:, others],
        weights=[weights[k] for k in others],
        families=batch.families and [batch.families[k] for k in others],
    )
    expected = result_of(name, without, options | fewer)
    for field in ("advantages", "unwhitened", "signal_mask", "present_mask", "keep_mask", "snr"):
        torch.testing.assert_close(getattr(result, field), getattr(expected, field), rtol=1e-8, atol=1e-8)
    if result.components is not None:
        assert not result.components[:, out].any()
        torch.testing.assert_close(result.components[:, others], expected.components, rtol=1e-8, atol=1e-8)
    if result.multipliers is not None and result.multipliers.ndim and result.multipliers.shape[-1] == num_rewards:
        assert name == "corr_grpo" or not result.multipliers[..., out].any()


@given(case=method_cases(NAMES))
def test_rollouts_to_which_nothing_applies_change_nothing(case: Case) -> None:
    name, batch, options = case
    doubled = with_rollouts_that_do_not_apply(batch)
    rows = slice(0, len(batch.rewards))
    actual, expected = result_of(name, doubled, options), result_of(name, batch, options)
    for field in FIELDS:
        found, wanted = getattr(actual, field), getattr(expected, field)
        if wanted is not None:
            found = found[rows] if has_rows(field, found, len(doubled.rewards), name) else found
            torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)
    assert not actual.advantages[len(batch.rewards) :].any()


@given(case=method_cases(NAMES))
def test_the_layout_of_the_groups_does_not_change_the_result(case: Case) -> None:
    def without_fetching(group_ids: Tensor) -> Groups:
        """What an accelerator gets: as many slots as rollouts."""
        return Groups(len(group_ids), None, _dense_index(group_ids), len(group_ids))

    name, batch, options = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Groups, "from_ids", staticmethod(without_fetching))
        elsewhere = result_of(name, batch, options)
        for field in FIELDS:
            getattr(elsewhere, field)
    assert_same(name, elsewhere, result_of(name, batch, options))


@given(case=method_cases(NAMES, dtypes=DTYPES))
def test_components_add_up_and_dtype_device_and_shape_are_kept(case: Case) -> None:
    name, batch, options = case
    result, (num_rollouts, num_rewards) = result_of(name, batch, options), batch.rewards.shape
    for field in FIELDS:
        value = getattr(result, field)
        if value is not None:
            assert value.device == batch.rewards.device
            assert value.dtype == (torch.bool if field.endswith("_mask") else batch.rewards.dtype), field
    for field in ("advantages", "unwhitened", "signal_mask", "present_mask", "keep_mask"):
        assert getattr(result, field).shape == (num_rollouts,)
    sums_first = name in SUM_FIRST or name == "rvpo" or options.get("mode") == "grpo"
    assert (result.components is None) == sums_first
    if result.components is not None:
        assert result.components.shape == (num_rollouts, num_rewards)
        eps = torch.finfo(batch.rewards.dtype).eps
        assert result.advantage_components is not None
        for parts, whole in (
            (result.components, result.unwhitened),
            (result.advantage_components, result.advantages),
        ):
            bound = 1e-12 + 2 * eps * parts.double().abs().sum(1)
            assert ((parts.double().sum(1) - whole.double()).abs() <= bound).all()
            assert not parts[~result.keep_mask].any()
        # The same say of each reward, up to one scale and one shift.
        dead = ~(result.components != 0).any(0)
        assert not result.advantage_components[:, dead].any()


@given(case=method_cases(NAMES, dtypes=(torch.float64, torch.float32)))
def test_inputs_are_not_changed_and_outputs_stand_alone(case: Case) -> None:
    name, batch, options = case
    inputs = (batch.rewards, batch.group_ids, batch.token_counts)
    copies = [tensor.clone() for tensor in inputs]
    result = result_of(name, batch, options)
    fields = [field for field in FIELDS if getattr(result, field) is not None]
    before = [getattr(result, field).clone() for field in fields]
    # Nobody who writes into one tensor may change another, nor two places at once.
    for field in fields:
        value = getattr(result, field)
        for index in itertools.product(*map(range, value.shape)):
            value[index] = value[index].logical_not() if value.dtype == torch.bool else value[index] + 1
    for old, field in zip(before, fields, strict=True):
        torch.testing.assert_close(getattr(result, field), ~old if old.dtype == torch.bool else old + 1)
    for tensor, copy in zip(inputs, copies, strict=True):
        torch.testing.assert_close(tensor, copy, rtol=0, atol=0, equal_nan=True)


def finite_scores(dtype: torch.dtype, share: float) -> st.SearchStrategy[float]:
    limit = share * torch.finfo(dtype).max
    extremes = [0.0, 5e-324, 1e-308, 1e-40, -1e-8, 1.0, limit, -limit, limit / 3]
    return st.sampled_from(extremes) | st.floats(-limit, limit) | st.just(math.nan)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_finite_in_gives_finite_out(dtype: torch.dtype, data: st.DataObject, name: str) -> None:
    num_rewards = data.draw(st.integers(1, 4))
    # In the rewards' own unit, sums and differences of the largest floats are beyond all floats.
    has_a_unit = name in ("dr_grpo", "rloo", "reinforce_plus_plus_baseline", "corr_grpo", "grpo", "gdpo", "gd2po")
    score = finite_scores(dtype, 1e-3 if has_a_unit else 1.0)
    rows = data.draw(st.lists(st.lists(score, min_size=num_rewards, max_size=num_rewards), min_size=1, max_size=8))
    batch = Batch(
        torch.tensor(rows, dtype=torch.float64).to(dtype),
        torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))),
        torch.arange(len(rows)),
        None,
    )
    options = data.draw(method_options(name, batch))
    if name == "sa_mrpo":  # next to the largest floats, a quarter more is the same
        options["reward_bounds"] = [[low - 1 - abs(low) * 1e-6, high] for low, high in options["reward_bounds"]]
        options["reward_bounds"] = [[max(low, -1.79e308), high] for low, high in options["reward_bounds"]]
    result = result_of(name, batch, options)
    for field in FIELDS:
        value = getattr(result, field)
        assert value is None or value.isfinite().all(), field


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_rollout_and_a_group_of_dead_rewards_have_0_before_whitening(name: str) -> None:
    rewards = torch.tensor([[1.0, 0.5], [0.0, 0.2], [0.7, 0.1], [0.4, 0.4], [0.4, 0.4], [0.4, 0.4]]).double()
    batch = Batch(rewards, torch.tensor([0, 0, 1, 2, 2, 2]), torch.ones(6), None)
    needs = {"reward_minima": [0.0, 0.0], "reward_bounds": [[0.0, 1.0], [0.0, 1.0]]}
    result = result_of(name, batch, {need: needs[need] for need in METHODS[name].needs} | {"whitening": "none"})
    assert result.advantages[2:].tolist() == [0.0] * 4
    assert result.advantages[:2].abs().min() > 0.01
    assert result.signal_mask.tolist() == [True, True, False, False, False, False]
    alone = Batch(rewards[:1], torch.tensor([5]), torch.ones(1), None)
    for whitening in ("none", "rollouts", "tokens"):
        options = {need: needs[need] for need in METHODS[name].needs} | {"whitening": whitening}
        assert result_of(name, alone, options).advantages.tolist() == [0.0]


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_applies_or_nothing_varies_everything_is_0(name: str) -> None:
    needs = {"reward_minima": [0.0, 0.0], "reward_bounds": [[0.0, 1.0], [0.0, 1.0]]}
    options = {need: needs[need] for need in METHODS[name].needs}
    for score, is_present in ((math.nan, False), (0.5, True)):
        batch = Batch(torch.full((4, 2), score), torch.tensor([0, 0, 1, 1]), torch.ones(4), None)
        for whitening in ("none", "rollouts"):
            result = result_of(name, batch, options | {"whitening": whitening})
            assert result.advantages.tolist() == [0.0] * 4
            assert result.keep_mask.tolist() == [is_present] * 4
            assert result.multipliers is None or result.multipliers.isfinite().all()


@given(case=method_cases([name for name in NAMES if name not in ("gd2po", "consensus", "grpo", "gdpo")], dtypes=DTYPES))
def test_reward_advantages_and_conflicts_are_those_of_gdpo(case: Case) -> None:
    name, batch, options = case
    expected = gdpo_advantages(batch.rewards, batch.group_ids, reward_weights=batch.weights)
    result = result_of(name, batch, options)
    for field in ("reward_advantages", "conflict_mask", "keep_mask", "keep_ratio", "snr"):
        assert torch.equal(getattr(result, field), getattr(expected, field)), field
    assert result.snr_threshold == 0


@given(batch=batches(missing=False))
def test_methods_that_divide_one_total_rank_the_rollouts_of_a_group_alike(batch: Batch) -> None:
    found = [
        result_of(name, batch, {"whitening": "none"}).advantages
        for name in ("dr_grpo", "grpo", "rloo", "dvao", "corr_grpo")
    ]
    for group_id in batch.group_ids.unique():
        first, *others = (values[batch.group_ids == group_id] for values in found)
        if not (first.abs() > 1e-9).any():
            continue
        for other in others:
            scale = (first @ other) / (first @ first)
            assert scale > 0
            torch.testing.assert_close(other, scale * first, rtol=1e-7, atol=1e-7)


def test_float32_inside_still_meets_the_tolerance_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    rewards = torch.rand(48, 3, generator=torch.Generator().manual_seed(0))
    rewards[::7, 1] = math.nan
    batch = Batch(rewards, torch.arange(8).repeat_interleave(6), torch.arange(48), [1.0, 0.5, 2.0])
    needs = {"reward_minima": [0.0] * 3, "reward_bounds": [[0.0, 1.0]] * 3}
    expected = {
        name: result_of(name, batch, {"whitening": "tokens"} | {need: needs[need] for need in method.needs})
        for name, method in METHODS.items()
    }
    for module in (core.batch, core.checks, core.groups, core.ranks):
        monkeypatch.setattr(module, "compute_dtype", lambda device: torch.float32)
    for name, wanted in expected.items():
        options = {"whitening": "tokens"} | {need: needs[need] for need in METHODS[name].needs}
        found = result_of(name, batch, options)
        assert found._parts is not None
        assert found._parts.unwhitened.dtype == torch.float32, name
        for field in ("advantages", "unwhitened", "components", "multipliers"):
            if getattr(wanted, field) is not None:
                torch.testing.assert_close(getattr(found, field), getattr(wanted, field), rtol=1e-4, atol=1e-4)


def test_gradients_do_not_flow_into_advantages() -> None:
    needs = {"reward_minima": [0.0, 0.0], "reward_bounds": [[0.0, 1.0], [0.0, 1.0]]}
    for name, method in METHODS.items():
        rewards = torch.rand(4, 2, requires_grad=True)
        weights = torch.rand(2, requires_grad=True)
        given = {need: torch.tensor(needs[need], requires_grad=True) for need in method.needs}
        result = method.function(rewards, torch.zeros(4, dtype=torch.int64), reward_weights=weights, **given)
        tensors = [getattr(result, field) for field in FIELDS]
        assert not any(tensor is not None and tensor.requires_grad for tensor in tensors), name
