"""Whitening: zero mean and unit variance over the rollouts that are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from gd2po.core.tolerances import TOKEN_TOTAL_EPS, VARIANCE_EPS


def whiten(values: Tensor, keep_mask: Tensor, token_counts: Tensor | None = None) -> Tensor:
    """Whitened values: `(v - mean) * rsqrt(var + 1e-8)` where kept, 0 where not.

    With the weights w (1 for a kept rollout, or its number of tokens) and their total n, `mean = sum(w v) / n` and
    `var = sum(w (v - mean)²) / n * n / (n - 1)`.

    Args:
        values: (N,) or any shape, finite.
        keep_mask: bool, the shape of `values`.
        token_counts: the shape of `values`, at least 0: a kept rollout counts as often as it has tokens. None: once.

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
    weights = keep_mask.to(values.dtype)
    if token_counts is not None:
        weights = weights * token_counts
    total = weights.sum()
    # No branch on `total`: it may live on an accelerator, and asking for it would stall the queue.
    enough = total > 1
    total = torch.where(enough, total, 2.0)
    denominator = total if token_counts is None else total + TOKEN_TOTAL_EPS
    deviation = (values - (weights * values).sum() / denominator) * keep_mask
    # At the scale of the largest deviation, since the squares of huge ones would overflow.
    largest = deviation.abs().max().clamp_min(1)
    deviation = deviation / largest
    variance = (weights * deviation * deviation).sum() / denominator * (total / (total - 1))
    return deviation * (torch.rsqrt(variance + VARIANCE_EPS / largest / largest) * enough)
