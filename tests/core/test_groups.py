"""Groups in any order and size, and the one place where rewards are standardised."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, group_id_lists

from gd2po import diagnose_batch, gd2po_advantages
from gd2po.core import batch, checks, statistics
from gd2po.core.groups import Deviations, Groups, _dense_index, compute_dtype
from gd2po.core.tolerances import STD_EPS

LOWEST, HIGHEST = -(2**63), 2**63 - 1


def test_inside_everything_is_float64_but_on_devices_without_it() -> None:
    assert compute_dtype(torch.device("cpu")) == torch.float64
    assert compute_dtype(torch.device("cuda")) == torch.float64
    assert compute_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("ids", "group_size"),
    [
        ([0, 0, 1, 1, 2, 2], 2),
        ([5, 5, 3, 3, 9, 9], 2),
        ([HIGHEST, HIGHEST, LOWEST, LOWEST], 2),
        ([4, 4, 4], 3),
        ([7], 1),
        ([1, 2, 3], 1),
    ],
)
def test_consecutive_blocks_of_one_size_are_recognised(ids: list[int], group_size: int) -> None:
    groups = Groups.from_ids(torch.tensor(ids))
    assert groups.group_size == group_size
    assert groups.index is None
    assert groups.num_slots == len(set(ids))


@pytest.mark.parametrize(
    "ids",
    [
        [0, 0, 1, 1, 1, 2, 2, 2],  # sizes differ
        [0, 0, 1],  # the last block is short
        [0, 0, 1, 2, 2, 2],  # a block is not of one id
        [0, 0, 1, 1, 0, 0],  # an id comes back
        [3, 1, 2],  # single rollouts in disorder
        [0, 1, 0, 1],
        [LOWEST, HIGHEST, LOWEST],
    ],
)
def test_all_other_groups_are_indexed(ids: list[int]) -> None:
    groups = Groups.from_ids(torch.tensor(ids))
    assert groups.group_size is None
    assert groups.index is not None
    slots = groups.index.tolist()
    assert 0 <= min(slots) <= max(slots) < groups.num_slots
    assert len(set(zip(ids, slots, strict=True))) == len(set(ids)) == len(set(slots))


@given(ids=group_id_lists(12))
def test_totals_maxima_and_lanes_match_plain_loops_in_every_layout(ids: list[int]) -> None:
    values = torch.randn(len(ids), 3, generator=torch.Generator().manual_seed(len(ids)), dtype=torch.float64)
    group_ids = torch.tensor(ids)
    without_fetching = Groups(len(ids), None, _dense_index(group_ids), len(ids))
    for groups in (Groups.from_ids(group_ids), without_fetching):
        lanes = groups.to_lanes(values)
        assert torch.equal(groups.from_lanes(lanes), values)
        assert torch.equal(groups.from_lanes(groups.to_lanes(values[:, 0])), values[:, 0])
        totals = groups.from_lanes(groups.spread(groups.total(lanes)).expand_as(lanes))
        largest = groups.from_lanes(groups.spread(groups.largest(lanes.abs())).expand_as(lanes))
        for rollout, group_id in enumerate(ids):
            members = values[group_ids == group_id]
            torch.testing.assert_close(totals[rollout], members.sum(0))
            torch.testing.assert_close(largest[rollout], members.abs().amax(0))


def test_an_accelerator_gets_its_groups_without_fetching_anything() -> None:
    # The meta device has no values: fetching any raises.
    groups = Groups.from_ids(torch.zeros(6, dtype=torch.int64, device="meta"))
    assert groups.group_size is None
    assert groups.num_slots == 6


def test_the_dense_index_numbers_the_groups_in_the_order_of_their_ids() -> None:
    assert _dense_index(torch.tensor([9, -4, 9, HIGHEST, LOWEST, -4])).tolist() == [2, 1, 2, 3, 0, 1]


def deviations(scores: list[float], dtype: torch.dtype = torch.float64) -> Deviations:
    groups = Groups.of_one(len(scores))
    lanes = groups.to_lanes(torch.tensor(scores, dtype=dtype)[:, None]).double()
    return Deviations.of(lanes, None, groups, torch.finfo(dtype).eps)


def standardised(scores: list[float], dtype: torch.dtype = torch.float64, **options: bool) -> list[float]:
    return deviations(scores, dtype).standardised(**options).flatten().tolist()


def test_the_standard_deviation_is_unbiased_and_gets_its_epsilon() -> None:
    std = math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2)
    expected = [(score - 3) / (std + STD_EPS) for score in (1, 2, 6)]
    assert standardised([1.0, 2.0, 6.0]) == pytest.approx(expected, rel=1e-14)
    # Where the deviation is of the epsilon's size, the epsilon halves the advantage.
    assert standardised([0.0, math.sqrt(2) * STD_EPS]) == pytest.approx([-(0.5**1.5), 0.5**1.5], rel=1e-9)


def test_the_standard_deviation_of_the_population_divides_by_all() -> None:
    std = math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 3)
    expected = [(score - 3) / (std + STD_EPS) for score in (1, 2, 6)]
    assert standardised([1.0, 2.0, 6.0], population=True) == pytest.approx(expected, rel=1e-14)


def test_what_is_at_the_mean_up_to_rounding_is_no_part_of_the_standard_deviation() -> None:
    # Around 1 + eps: three scores within rounding of the mean, one beyond it.
    eps = torch.finfo(torch.bfloat16).eps
    found = deviations([1.0, 1.0, 1.0, 1.0 + 2 * eps], torch.bfloat16)
    assert (found.scaled != 0).flatten().tolist() == [False, False, False, True]
    assert float(found.std() * found.largest) == pytest.approx(1.5 * eps / math.sqrt(3))


def test_deviations_in_the_unit_of_the_rewards() -> None:
    for in_place in (False, True):
        found = deviations([1.0, 2.0, 6.0]).in_units_of_the_rewards(in_place=in_place)
        assert found.flatten().tolist() == pytest.approx([-2, -1, 3], rel=1e-14)


def test_in_place_gives_the_same_numbers() -> None:
    scores = [0.3, 1.7, -2.9, 0.4]
    assert standardised(scores, in_place=True) == standardised(scores)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_distance_within_rounding_is_exactly_0_and_one_beyond_is_not(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    # Around the largest magnitude 1 the means lie half a step apart from the two scores, then two steps.
    assert standardised([1.0, 1.0 - eps], dtype) == [0.0, 0.0]
    above, below = standardised([1.0, 1.0 - 4 * eps], dtype)
    assert above > 0 > below


@given(scores=st.lists(st.integers(-30, 30), min_size=2, max_size=9), copies=st.integers(1, 3))
def test_equal_scores_are_exactly_0(scores: list[int], copies: int) -> None:
    for score in scores:
        assert standardised([score / 10] * (copies + 1)) == [0.0] * (copies + 1)


@pytest.mark.parametrize("largest", [1.7e308, 1e308, 1e160, 1e-160, 5e-324])
def test_the_largest_and_the_smallest_floats_are_standardised_without_overflow(largest: float) -> None:
    first, second, third = standardised([largest, 0.0, -largest])
    std = largest  # of these three
    assert first == pytest.approx(largest / (std + STD_EPS), rel=1e-12, abs=1e-300)
    assert second == 0
    assert third == -first


def test_float32_inside_still_meets_the_tolerance_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rewards, group_ids = torch.randn(48, 3), torch.arange(8).repeat_interleave(6)
    expected = gd2po_advantages(rewards, group_ids)
    for module in (batch, checks, statistics):
        monkeypatch.setattr(module, "compute_dtype", lambda device: torch.float32)
    actual = gd2po_advantages(rewards, group_ids, reward_weights=[1.0, 1.0, 1.0])
    torch.testing.assert_close(actual.advantages, expected.advantages, rtol=1e-4, atol=1e-4)
    assert torch.equal(actual.keep_mask, expected.keep_mask)
    diagnosed = diagnose_batch(rewards, group_ids, actual)
    assert diagnosed.retained.dtype == torch.float32
