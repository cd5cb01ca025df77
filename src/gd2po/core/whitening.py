"""Whitening: zero mean and unit variance over the rollouts that are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd2po.core.tolerances import TOKEN_TOTAL_EPS, VARIANCE_EPS


def whiten(
    values: Tensor, keep_mask: Tensor, token_counts: Tensor | None = None, *, population: bool = False
) -> Tensor:
    """Whitened values: `(v - mean) * rsqrt(var + 1e-8)` where kept, 0 where not.

    With the weights w (1 for a kept rollout, or its number of tokens) and their total n, `mean = sum(w v) / n` and
    `var = sum(w (v - mean)²) / n * n / (n - 1)`.

    Args:
        values: (N,) or any shape, finite.
        keep_mask: bool, the shape of `values`.
        token_counts: the shape of `values`, at least 0: a kept rollout counts as often as it has tokens. None: once.
        population: the variance of the population, without the factor n / (n - 1).

    Returns:
        The shape of `values`. All 0 where the total weight is at most 1, since one sample has no variance.

    Example:
        >>> values = torch.tensor([1.0, 2.0, 3.0, 100.0])
        >>> whiten(values, torch.tensor([True, True, True, False]))
        tensor([-1.,  0.,  1.,  0.])

    Source:
        GDPO (arXiv:2601.05242), batch-wise advantage normalisation. By tokens: verl's `masked_whiten`, which adds 1e-8
        to n in both denominators.
    """
    sample = _Sample.of(values, keep_mask, token_counts)
    # At the scale of the largest deviation, since the squares of huge ones would overflow.
    largest = sample.deviation.abs().max().clamp_min(1)
    deviation = sample.deviation / largest
    variance = (sample.weights * deviation * deviation).sum() / sample.denominator
    if not population:
        variance = variance * (sample.total / (sample.total - 1))
    return deviation * (torch.rsqrt(variance + VARIANCE_EPS / largest / largest) * sample.is_enough)


def centre(values: Tensor, keep_mask: Tensor, token_counts: Tensor | None = None) -> Tensor:
    """Centred values: `v - mean` where kept, 0 where not; arguments, mean and degenerate cases as of `whiten`.

    Example:
        >>> centre(torch.tensor([1.0, 2.0, 6.0, 100.0]), torch.tensor([True, True, True, False]))
        tensor([-2., -1.,  3.,  0.])
    """
    sample = _Sample.of(values, keep_mask, token_counts)
    return sample.deviation * sample.is_enough


@dataclass(frozen=True, eq=False)
class _Sample:
    """The kept values and what each of them counts."""

    deviation: Tensor
    """Values minus their mean; 0 where not kept."""
    weights: Tensor
    total: Tensor
    """() sum of the weights, or 2 where that is not enough."""
    denominator: Tensor
    """() what sums are divided by."""
    is_enough: Tensor
    """() bool: the weights add up to more than 1."""

    @staticmethod
    def of(values: Tensor, keep_mask: Tensor, token_counts: Tensor | None) -> _Sample:
        weights = keep_mask.to(values.dtype)
        if token_counts is not None:
            weights = weights * token_counts
        total = weights.sum()
        # No branch on `total`: it may live on an accelerator, and asking for it would stall the queue.
        is_enough = total > 1
        total = torch.where(is_enough, total, 2.0)
        denominator = total if token_counts is None else total + TOKEN_TOTAL_EPS
        deviation = (values - (weights * values).sum() / denominator) * keep_mask
        return _Sample(deviation, weights, total, denominator, is_enough)
