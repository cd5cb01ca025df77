"""Conflicts between the rewards of a rollout, and the filters that drop rollouts because of them."""

from __future__ import annotations

import torch
from torch import Tensor

SIGN_TOLERANCE = 1e-8
"""A weighted reward advantage counts as positive above this and as negative below its negative."""

THRESHOLD_STEPS = 50
"""The adaptive threshold is searched on the grid 0, 1/50, ..., 1."""

RETAINED_TOLERANCE = 1e-12
"""Relative rounding error of a sum over rollouts, so that a share of exactly `min_retained` is enough."""


def conflict_mask(weighted: Tensor, dim: int = -1) -> Tensor:
    """Mask of the rollouts whose rewards conflict: some `y > 1e-8` and some `y < -1e-8`.

    Args:
        weighted: weighted reward advantages y, (N, K) or any shape with the rewards in `dim`.
        dim: dimension of the rewards.

    Returns:
        Bool, the shape of `weighted` without `dim`: (N,).

    Example:
        >>> conflict_mask(torch.tensor([[1.0, -0.5], [1.0, 0.0], [-1.0, -2.0]]))
        tensor([ True, False, False])

    Source:
        GD²PO (arXiv:2606.16771), the hard filter's sign test.
    """
    return (weighted.amax(dim) > SIGN_TOLERANCE) & (weighted.amin(dim) < -SIGN_TOLERANCE)


def agreement_snr(weighted: Tensor, snr_eps: float = 1e-8, dim: int = -1) -> Tensor:
    """Agreement score of each rollout: `snr = |sum_k y| / (sum_k |y| + snr_eps)`, in [0, 1].

    Args:
        weighted: weighted reward advantages y, (N, K) or any shape with the rewards in `dim`.
        snr_eps: keeps the quotient finite; at least 0.
        dim: dimension of the rewards.

    Returns:
        The shape of `weighted` without `dim`: (N,). 1 where the rewards agree, 0 where they cancel.

    Example:
        >>> agreement_snr(torch.tensor([[1.0, -0.5], [1.0, -1.0], [0.3, 2.0], [0.0, 0.0]]))
        tensor([0.3333, 0.0000, 1.0000, 1.0000])

    Source:
        GD²PO (arXiv:2606.16771), the SNR-like score.

    Deviations:
        Exactly 1 wherever no signs are mixed, also where every advantage is 0; the quotient would be off by
        `snr_eps` there. Filters drop conflicts only, so this changes what is reported and never what is kept.
    """
    quotient = weighted.sum(dim).abs_() / (weighted.abs().sum(dim) + snr_eps)
    return torch.where(conflict_mask(weighted, dim), quotient, 1.0)


def paired_conflict_mask(weighted: Tensor, pairs: Tensor) -> Tensor:
    """Mask of the rollouts in which two rewards of the given pairs have opposite signs.

    Args:
        weighted: (N, K) weighted reward advantages y.
        pairs: (K, K) bool, symmetric: the pairs that count.

    Returns:
        (N,) bool.

    Example:
        >>> everything_but_01 = torch.tensor([[0, 0, 1], [0, 0, 1], [1, 1, 0]]).bool()
        >>> paired_conflict_mask(torch.tensor([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]]), everything_but_01)
        tensor([False,  True])
    """
    positive = (weighted > SIGN_TOLERANCE).to(weighted.dtype)
    negative = (weighted < -SIGN_TOLERANCE).to(weighted.dtype)
    return ((positive @ pairs.to(weighted.dtype)) * negative).sum(1) > 0


def largest_retaining_threshold(weighted: Tensor, conflicts: Tensor, snr: Tensor, min_retained: float) -> Tensor:
    """Largest threshold on the grid 0, 0.02, ..., 1 at which every reward keeps enough of its signal.

    Enough: `sum over kept |y_k| >= min_retained * sum over all |y_k|`, and the same over the negative y_k alone. A
    reward without any signal has none to lose and sets no limit.

    Args:
        weighted: (N, K) weighted reward advantages y.
        conflicts: (N,) bool, the rollouts that a threshold above their score drops.
        snr: (N,) agreement scores.
        min_retained: share to keep, in [0, 1].

    Returns:
        A tensor without dimensions.

    Example:
        >>> weighted = torch.tensor([[2.0, -1.0], [1.0, 1.0], [-3.0, 0.0]])
        >>> snr = agreement_snr(weighted)
        >>> largest_retaining_threshold(weighted, conflict_mask(weighted), snr, min_retained=0.5)
        tensor(0.3200, dtype=torch.float64)
    """
    grid = torch.arange(THRESHOLD_STEPS + 1, dtype=snr.dtype, device=snr.device) / THRESHOLD_STEPS
    magnitude = torch.cat([weighted.abs(), weighted.clamp(max=0).abs()], dim=1)
    # A conflict is dropped from the first threshold above its score on: bin it there, then add up along the grid.
    first_dropped = torch.bucketize(snr, grid, right=True)
    lost = magnitude.new_zeros(THRESHOLD_STEPS + 2, magnitude.shape[1])
    lost.index_add_(0, first_dropped, magnitude * conflicts[:, None])
    lost = lost.cumsum(0)[: THRESHOLD_STEPS + 1]
    allowed = (1 - min_retained + RETAINED_TOLERANCE) * magnitude.sum(0)
    acceptable = (lost <= allowed).all(1)
    # What is lost only grows with the threshold, and at 0 nothing is lost, so the count is the last one's place.
    return grid[acceptable.sum() - 1]
