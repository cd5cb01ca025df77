"""Means over prompts with intervals by bootstrap: a prompt is resampled with all of its groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gd2po.comparison.statistics import expanded_tail
from gd2po.replay.model import FEWEST_PROMPTS
from gd2po.report.intervals import Estimate

RESAMPLES = 2000
MOST_BLOCKS = 2048
"""More prompts than this are resampled in so many blocks, each of every so many'th prompt."""


class PromptBootstrap:
    """Resamples of prompts, the same for every number that is asked for, so that differences are paired.

    Args:
        prompts: (P,) numbers of the prompts of the groups that count; equal ones are resampled together.

    Example:
        >>> estimate = PromptBootstrap(np.arange(100)).mean(np.full((100, 1), 0.5))[0]
        >>> estimate.value, estimate.low, estimate.high
        (0.5, 0.5, 0.5)
    """

    def __init__(self, prompts: NDArray[np.int64]) -> None:
        numbers = np.unique(prompts, return_inverse=True)[1]
        self.num_prompts = int(numbers.max()) + 1 if len(numbers) else 0
        blocks = min(self.num_prompts, MOST_BLOCKS)
        self._block = numbers % max(blocks, 1)
        self._weights = np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / max(blocks, 1)), RESAMPLES)
        self._counts = np.bincount(self._block, minlength=blocks).astype(np.float64)

    def mean(self, values: NDArray[np.float64]) -> list[Estimate]:
        """The mean of each column over the groups, with its interval.

        The percentiles are moved outwards for few prompts, as those of few seeds are: see `mean_over_seeds`.

        Args:
            values: (P, X) one row per group.
        """
        means = values.mean(0)
        if self.num_prompts < FEWEST_PROMPTS:
            return [Estimate(float(mean), None, None) for mean in means]
        totals = np.zeros((len(self._counts), values.shape[1]))
        np.add.at(totals, self._block, values)
        resampled = (self._weights @ totals) / (self._weights @ self._counts)[:, None]
        tail = expanded_tail(self.num_prompts)
        bounds = np.quantile(resampled, [tail, 1 - tail], axis=0)
        # Sums in another order differ in their last bits.
        return [
            Estimate(float(mean), min(float(low), float(mean)), max(float(high), float(mean)))
            for mean, low, high in zip(means, *bounds, strict=True)
        ]
