"""Conflicts between the rewards of a rollout, and the filters that drop rollouts because of them."""

from __future__ import annotations

import torch
from torch import Tensor

from gd2po.core.groups import compute_dtype
from gd2po.core.tolerances import RETAINED_TOLERANCE, SIGN_TOLERANCE, SNR_EPS

THRESHOLD_STEPS = 50
"""The adaptive threshold is searched on the grid 0, 1/50, ..., 1."""


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


def agreement_snr(weighted: Tensor, snr_eps: float = SNR_EPS, dim: int = -1) -> Tensor:
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


def paired_conflict_mask(weighted: Tensor, pairs: Tensor, dim: int = -1) -> Tensor:
    """Mask of the rollouts in which two rewards of the given pairs have opposite signs.

    Args:
        weighted: weighted reward advantages y, (N, K) or any shape with the rewards in `dim`.
        pairs: (K, K) bool, symmetric: the pairs that count.
        dim: dimension of the rewards.

    Returns:
        Bool, the shape of `weighted` without `dim`: (N,).

    Example:
        >>> everything_but_01 = torch.tensor([[0, 0, 1], [0, 0, 1], [1, 1, 0]]).bool()
        >>> paired_conflict_mask(torch.tensor([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]]), everything_but_01)
        tensor([False,  True])
    """
    lanes = weighted.movedim(dim, -2)
    # float32 counts the partners of a reward exactly and needs half the memory.
    positive = (lanes > SIGN_TOLERANCE).float()
    negative = (lanes < -SIGN_TOLERANCE).float()
    return (pairs.to(positive, non_blocking=True) @ positive).mul_(negative).amax(-2) > 0


def first_dropping_step(snr: Tensor, steps: int) -> Tensor:
    """Place of the lowest threshold on the grid 0, 1/steps, ..., 1 that drops a conflict of this score.

    That is the first threshold above the score, or the last one, which drops every conflict.

    Args:
        snr: agreement scores in [0, 1], any shape.
        steps: of the grid.

    Returns:
        Integers from 1 to `steps`, the shape of `snr`.

    Example:
        >>> first_dropping_step(torch.tensor([0.0, 0.29, 0.3, 1.0], dtype=torch.float64), 10)
        tensor([ 1,  3,  4, 10])
    """
    # The product may round across a grid point, so its neighbours decide.
    below = (snr * steps).floor_()
    return (below + (below / steps <= snr) + ((below + 1) / steps <= snr)).clamp(max=steps).long()


def largest_retaining_threshold(
    weighted: Tensor, conflicts: Tensor, snr: Tensor, min_retained: float, dim: int = -1
) -> Tensor:
    """Largest threshold on the grid 0, 0.02, ..., 1 at which every reward keeps enough of its signal.

    Enough: `sum over kept |y_k| >= min_retained * sum over all |y_k|`, and the same over the negative y_k alone. A
    reward without any signal has none to lose and sets no limit. A threshold of 1 drops every conflict.

    Args:
        weighted: weighted reward advantages y, (N, K) or any shape with the rewards in `dim`.
        conflicts: bool, the shape of `weighted` without `dim`: the rollouts that a threshold above their score drops.
        snr: agreement scores in [0, 1], the shape of `conflicts`.
        min_retained: share to keep, in [0, 1].
        dim: dimension of the rewards.

    Returns:
        () the threshold, in the dtype to compute in.

    Example:
        >>> weighted = torch.tensor([[2.0, -1.0], [1.0, 1.0], [-3.0, 0.0]])
        >>> snr = agreement_snr(weighted)
        >>> float(largest_retaining_threshold(weighted, conflict_mask(weighted), snr, min_retained=0.5))
        0.32
    """
    lanes = weighted.movedim(dim, -2)
    num_rewards = lanes.shape[-2]
    # Collect each conflict at the first threshold that drops it, and add up along the grid. The last bin is never lost.
    bins = torch.where(conflicts, first_dropping_step(snr, THRESHOLD_STEPS), THRESHOLD_STEPS + 1)
    index = bins.unsqueeze(-2).expand_as(lanes)
    empty = lanes.new_zeros(*lanes.shape[:-1], THRESHOLD_STEPS + 2)
    magnitude = empty.scatter_add(-1, index, lanes.abs()).reshape(-1, num_rewards, THRESHOLD_STEPS + 2).sum(0)
    net = empty.scatter_add(-1, index, lanes).reshape(-1, num_rewards, THRESHOLD_STEPS + 2).sum(0)
    lost = torch.cat([magnitude, (magnitude - net) / 2]).cumsum(1)
    allowed = (1 - min_retained + RETAINED_TOLERANCE) * lost[:, -1:]
    acceptable = (lost[:, :-1] <= allowed).all(0)
    # What is lost only grows with the threshold, and at 0 nothing is lost, so the count is the last one's place.
    return (acceptable.sum() - 1).to(compute_dtype(lanes.device)) / THRESHOLD_STEPS
