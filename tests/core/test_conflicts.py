"""Conflicts, scores and the adaptive threshold, one rule at a time."""

from __future__ import annotations

import math

import pytest
import torch

from gd2po.core.conflicts import (
    agreement_snr,
    conflict_mask,
    first_dropping_step,
    largest_retaining_threshold,
    paired_conflict_mask,
)
from gd2po.core.tolerances import SNR_EPS

GRID = [step / 50 for step in range(51)]


@pytest.mark.parametrize(
    ("row", "conflicts"),
    [
        ([1.0, -1.0], True),
        ([1.0, 1.0], False),
        ([-1.0, -2.0], False),
        ([0.0, 0.0], False),
        ([1.0, 0.0], False),
        ([1.1e-8, -1.1e-8], True),
        ([1e-8, -1.0], False),
        ([1.0, -1e-8], False),
        ([5.0, 4.0, -2e-8], True),
    ],
)
def test_signs_count_beyond_the_tolerance(row: list[float], conflicts: bool) -> None:
    weighted = torch.tensor([row], dtype=torch.float64)
    assert conflict_mask(weighted).tolist() == [conflicts]
    assert conflict_mask(weighted.T, dim=0).tolist() == [conflicts]
    every_pair = torch.ones(len(row), len(row), dtype=torch.bool)
    assert paired_conflict_mask(weighted, every_pair).tolist() == [conflicts]
    assert paired_conflict_mask(weighted.T, every_pair, dim=0).tolist() == [conflicts]


def test_only_pairs_that_count_conflict() -> None:
    weighted = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    first_and_last = torch.zeros(3, 3, dtype=torch.bool)
    first_and_last[0, 2] = first_and_last[2, 0] = True
    assert paired_conflict_mask(weighted, first_and_last).tolist() == [False, True, True]
    assert not paired_conflict_mask(weighted, torch.zeros(3, 3, dtype=torch.bool)).any()


def test_the_score_is_the_net_share_of_the_signal() -> None:
    weighted = torch.tensor([[3.0, -1.0], [-3.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    assert agreement_snr(weighted, snr_eps=0.0).tolist() == [0.5, 0.5, 0.0]
    assert agreement_snr(weighted, snr_eps=1.0).tolist() == [pytest.approx(2 / 5), pytest.approx(2 / 5), 0.0]
    assert torch.equal(agreement_snr(weighted.T, dim=0), agreement_snr(weighted))


@pytest.mark.parametrize("row", [[0.0, 0.0], [2.0, 1.0], [-2.0, 0.0], [1e-300, 1e-300], [1e-9, -1e-9]])
def test_the_score_is_exactly_1_where_no_signs_are_mixed(row: list[float]) -> None:
    for snr_eps in (0.0, 1e-8, 1.0):
        assert agreement_snr(torch.tensor([row], dtype=torch.float64), snr_eps).tolist() == [1.0]


def threshold_for(snr: list[float], conflicts: list[bool], weighted: list[list[float]], min_retained: float) -> float:
    arguments = (torch.tensor(conflicts), torch.tensor(snr, dtype=torch.float64), min_retained)
    rows = torch.tensor(weighted, dtype=torch.float64)
    threshold = largest_retaining_threshold(rows, *arguments)
    assert largest_retaining_threshold(rows.T, *arguments, dim=0) == threshold
    return float(threshold)


@pytest.mark.parametrize("point", GRID)
def test_a_conflict_is_lost_from_the_first_grid_point_above_its_score(point: float) -> None:
    for snr in (math.nextafter(point, 0), point, math.nextafter(point, 1)):
        lossless = max(threshold for threshold in GRID if not snr < threshold)
        # Where its score rounds to 1, a threshold of 1 drops a conflict nevertheless.
        expected = min(lossless, 0.98)
        assert threshold_for([snr], [True], [[1.0, -1.0]], min_retained=1.0) == expected
        assert threshold_for([snr], [False], [[1.0, -1.0]], min_retained=1.0) == 1.0


def test_a_share_of_exactly_the_minimum_is_enough() -> None:
    # Five rollouts of the same signal, one of them in conflict: losing it leaves 4 / 5 of every reward and side.
    weighted = [[0.1, -0.1], [0.1, -0.1], [0.1, -0.1], [0.1, -0.1], [0.1, -0.1]]
    conflicts, snr = [True, False, False, False, False], [0.3] * 5
    assert threshold_for(snr, conflicts, weighted, min_retained=0.8) == 1.0
    assert threshold_for(snr, conflicts, weighted, min_retained=0.81) == 0.3


def test_the_negative_side_is_held_to_the_minimum_by_itself() -> None:
    # Losing the conflict costs the second reward a third of its signal, but all of its penalties.
    weighted = [[1.0, -1.0], [1.0, 1.0], [1.0, 1.0]]
    assert threshold_for([0.5, 1.0, 1.0], [True, False, False], weighted, min_retained=0.6) == 0.5


def test_a_reward_without_signal_sets_no_limit() -> None:
    weighted = [[1.0, -1.0, 0.0], [1.0, -1.0, 0.0]]
    assert threshold_for([0.5, 1.0], [True, False], weighted, min_retained=0.5) == 1.0
    assert threshold_for([1.0, 1.0], [False, False], [[0.0], [0.0]], min_retained=1.0) == 1.0


def test_thresholds_between_the_scores_of_two_conflicts_lose_only_the_lower_one() -> None:
    weighted = [[1.0, -1.0], [1.0, -1.0], [2.0, -2.0]]
    snr, conflicts = [0.2, 0.7, 1.0], [True, True, False]
    assert threshold_for(snr, conflicts, weighted, min_retained=0.8) == 0.2
    assert threshold_for(snr, conflicts, weighted, min_retained=0.75) == 0.7
    assert threshold_for(snr, conflicts, weighted, min_retained=0.5) == 1.0


@pytest.mark.parametrize("steps", [10, 50, 100])
def test_a_conflict_is_dropped_from_the_first_threshold_above_its_score_on(steps: int) -> None:
    grid = torch.arange(steps + 1, dtype=torch.float64) / steps
    scores = torch.cat([grid, torch.nextafter(grid, torch.zeros(())), torch.rand(200, dtype=torch.float64)])
    first = first_dropping_step(scores.clamp(0, 1), steps)
    for score, place in zip(scores.clamp(0, 1).tolist(), first.tolist(), strict=True):
        dropping = [step for step in range(steps + 1) if score < step / steps]
        assert place == (dropping[0] if dropping else steps)


def test_the_score_has_the_epsilon_of_the_package_by_default() -> None:
    weighted = torch.tensor([[3e-8, -1.5e-8]], dtype=torch.float64)
    expected = 1.5e-8 / (4.5e-8 + SNR_EPS)
    assert agreement_snr(weighted).item() == pytest.approx(expected, rel=1e-12)
    assert agreement_snr(weighted, snr_eps=0.0).item() == pytest.approx(1 / 3, rel=1e-12)
