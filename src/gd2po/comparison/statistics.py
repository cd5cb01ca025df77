"""What a few seeds can tell: bootstrap intervals of means over seeds, and steps to a target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from gd2po.report import intervals

LEVEL = 0.95
RESAMPLES = 10_000
ENOUGH_SEEDS = 5
"""With fewer, no bootstrap interval can hold the truth 19 times in 20: that all of n seeds err to the same side happens
by chance once in 2^(n-1), and no resample lies outside of what was seen."""

_MOST_ENUMERATED = 6
"""Seeds up to which all resamples are enumerated, 6^6 of them, so that nothing is left to chance."""


@dataclass(frozen=True)
class Estimate(intervals.Estimate):
    """A mean over seeds with its 95 % interval; without bounds for fewer than two seeds."""

    seeds: int

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes zero and rests on enough seeds to be believed."""
        return self.excludes_zero and self.seeds >= ENOUGH_SEEDS


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number per seed, with an expanded percentile interval of the bootstrap over seeds.

    The plain percentile interval is too narrow for a handful of seeds: it leaves out Bessel's correction and takes the
    normal's quantiles for Student's. So the percentiles are moved outwards to where an interval of the normal would be
    as wide as Student's, as Hesterberg proposes. At five seeds that is nearly the range of the resampled means.

    Args:
        values: one finite number per seed, at least one.

    Returns:
        Mean and interval. Both bounds are the mean where all seeds agree.

    Example:
        >>> mean_over_seeds([1.0, 1.0, 1.0])
        Estimate(value=1.0, low=1.0, high=1.0, seeds=3)
        >>> mean_over_seeds([2.0])
        Estimate(value=2.0, low=None, high=None, seeds=1)

    Source: Hesterberg (arXiv:1411.5279), expanded percentile interval.
    """
    return means_over_seeds([[value] for value in values])[0]


def means_over_seeds(rows: Sequence[Sequence[float]]) -> list[Estimate]:
    """The mean of each column with its interval, as of `mean_over_seeds`; all columns share the resamples.

    Args:
        rows: one per seed, all of one length: the points of a curve, say.

    Example:
        >>> [estimate.value for estimate in means_over_seeds([[1.0, 5.0], [3.0, 5.0]])]
        [2.0, 5.0]
    """
    numbers = np.asarray(rows, dtype=np.float64)
    size = len(numbers)
    means = numbers.mean(0)
    if size < 2:
        return [Estimate(float(mean), None, None, size) for mean in means]
    tail = expanded_tail(size)
    resampled = _resamples(size) @ numbers / size
    bounds = np.quantile(resampled, [tail, 1 - tail], axis=0, method="inverted_cdf")
    # Sums in another order differ in their last bits.
    return [
        Estimate(float(mean), min(float(low), float(mean)), max(float(high), float(mean)), size)
        for mean, low, high in zip(means, *bounds, strict=True)
    ]


def expanded_tail(size: int) -> float:
    """Probability left out on either side by the expanded percentile interval of `size` values.

    Example:
        >>> round(expanded_tail(1000), 3), expanded_tail(5) < 0.002
        (0.025, True)
    """
    normal = NormalDist()
    return normal.cdf(-math.sqrt(size / (size - 1)) * student_quantile((1 + LEVEL) / 2, size - 1))


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t by Cornish and Fisher's expansion: within 1 % from 3 degrees of freedom on.

    Example:
        >>> round(student_quantile(0.975, 4), 2), round(student_quantile(0.975, 30), 3)
        (2.77, 2.042)

    Source: Abramowitz and Stegun, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / degrees**power for power, term in enumerate(terms)))


@lru_cache(maxsize=4)
def _resamples(size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How often each value is in a resample with replacement, a row each: all resamples there are, or many."""
    if size <= _MOST_ENUMERATED:
        chosen = np.array(list(itertools.product(range(size), repeat=size)))
    else:
        chosen = np.random.default_rng(0).integers(size, size=(RESAMPLES, size))
    rows = np.arange(len(chosen))[:, None]
    counts = np.bincount((rows * size + chosen).ravel(), minlength=len(chosen) * size)
    return counts.reshape(-1, size).astype(np.float64)


def steps_to_target(curve: Sequence[tuple[int, float | None]], target: float) -> float | None:
    """The step at which a curve first reaches a target, on the line between two evaluations.

    Args:
        curve: step and value, in order; evaluations without a value are passed over.
        target: higher is better.

    Returns:
        The step, 0 if it was reached before training; None if it never was.

    Example:
        >>> steps_to_target([(0, 0.0), (10, 0.25), (20, 0.75)], 0.5)
        15.0
        >>> steps_to_target([(0, 0.0), (10, 0.4)], 0.6) is None
        True
    """
    before: tuple[int, float] | None = None
    for step, value in curve:
        if value is None:
            continue
        if value >= target:
            if before is None:
                return float(step)
            return before[0] + (step - before[0]) * (target - before[1]) / (value - before[1])
        before = (step, value)
    return None
