"""Intervals and targets against what can be worked out by hand, and against constructed truths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gd2po.comparison.statistics import (
    ENOUGH_SEEDS,
    Estimate,
    expanded_tail,
    mean_over_seeds,
    steps_to_target,
    student_quantile,
)

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (19, 2.0930), (100, 1.9840)]
)
def test_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(quantile, rel=0.01)


def test_the_tail_is_that_of_the_expanded_percentile_interval() -> None:
    # By hand: the normal's tail beyond sqrt(5 / 4) * 2.7764 and beyond sqrt(10 / 9) * 2.2622.
    assert expanded_tail(5) == pytest.approx(0.0010, abs=1e-4)
    assert expanded_tail(10) == pytest.approx(0.0086, abs=1e-4)


@given(values)
def test_the_interval_holds_the_mean_and_lies_within_the_values(numbers: list[float]) -> None:
    estimate = mean_over_seeds(numbers)
    assert estimate.low is not None
    assert estimate.high is not None
    slack = 1e-9 * (1 + max(abs(number) for number in numbers))
    assert estimate.value == pytest.approx(sum(numbers) / len(numbers), abs=slack)
    assert min(numbers) - slack <= estimate.low <= estimate.value <= estimate.high <= max(numbers) + slack


@given(values, st.floats(-100, 100), st.floats(0.01, 100))
def test_the_interval_moves_and_scales_with_the_values(numbers: list[float], shift: float, scale: float) -> None:
    estimate = mean_over_seeds(numbers)
    moved = mean_over_seeds([scale * number + shift for number in numbers])
    assert estimate.low is not None
    assert estimate.high is not None
    slack = 1e-8 * (1 + abs(shift) + scale * max(abs(number) for number in numbers))
    assert moved.low == pytest.approx(scale * estimate.low + shift, abs=slack)
    assert moved.high == pytest.approx(scale * estimate.high + shift, abs=slack)


@given(values)
def test_the_interval_of_the_negative_is_the_negative_interval(numbers: list[float]) -> None:
    estimate, mirrored = mean_over_seeds(numbers), mean_over_seeds([-number for number in numbers])
    assert estimate.low is not None
    assert mirrored.high is not None
    slack = 1e-8 * (1 + max(abs(number) for number in numbers))
    spread = max(numbers) - min(numbers)
    # Quantiles of a finite set are not symmetric to the last resample.
    assert mirrored.high == pytest.approx(-estimate.low, abs=slack + 0.1 * spread)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=5), st.randoms())
def test_the_order_of_the_seeds_does_not_matter(numbers: list[float], chance: object) -> None:
    shuffled = list(numbers)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    slack = 1e-9 * (1 + max(abs(number) for number in numbers))
    first, second = mean_over_seeds(numbers), mean_over_seeds(shuffled)
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=slack)


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.90), (10, 0.93), (20, 0.93)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(seeds: int, least: float) -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        estimate = mean_over_seeds(random.normal(3.0, 2.0, size=seeds).tolist())
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 3.0 <= estimate.high
    assert least <= held / 300 <= 0.985


def test_few_seeds_are_never_beyond_noise() -> None:
    for seeds in range(2, ENOUGH_SEEDS):
        estimate = mean_over_seeds([1.0 + 0.01 * seed for seed in range(seeds)])
        assert estimate.excludes_zero
        assert not estimate.beyond_noise
    assert mean_over_seeds([1.0 + 0.01 * seed for seed in range(ENOUGH_SEEDS)]).beyond_noise
    assert not Estimate(1.0, None, None, 1).excludes_zero
    assert not Estimate(0.0, 0.0, 0.0, 9).excludes_zero


def test_one_seed_of_five_that_differs_in_sign_is_noise() -> None:
    assert not mean_over_seeds([0.02, 0.03, 0.01, 0.02, -0.02]).beyond_noise
    assert mean_over_seeds([-0.02, -0.03, -0.01, -0.02, -0.02]).beyond_noise


@pytest.mark.parametrize(
    ("curve", "target", "step"),
    [
        ([(0, 0.5), (10, 0.7)], 0.5, 0.0),
        ([(0, 0.5), (10, 0.7)], 0.6, 5.0),
        ([(0, 0.5), (10, 0.7)], 0.7, 10.0),
        ([(0, 0.5), (10, 0.7)], 0.71, None),
        ([(0, 0.5), (10, 0.4), (20, 0.8), (30, 0.2), (40, 0.9)], 0.6, 15.0),
        ([(0, 0.5), (10, None), (20, 0.7)], 0.6, 10.0),
        ([], 0.1, None),
    ],
)
def test_a_target_is_reached_on_the_line_between_evaluations(
    curve: list[tuple[int, float | None]], target: float, step: float | None
) -> None:
    assert steps_to_target(curve, target) == (None if step is None else pytest.approx(step))
