"""Ranks of rollouts inside their groups: what a score says without its distance from the others."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from gd2po.core.groups import Groups, compute_dtype


def centred_ranks(lanes: Tensor, applies: Tensor | None, groups: Groups, rounding_eps: float) -> Tensor:
    """Mid-rank of each score inside its group, minus the mean rank: half of what it beats minus what beats it.

    Ties share the mean of their ranks. Scores tie if they are equal within rounding: in the order of the scores, a
    step of at most `rounding_eps` times the largest magnitude of the group does not part them.

    Args:
        lanes: scores in the lane layout of the groups; 0 where a reward does not apply.
        applies: 1 where a reward applies and 0 where not; None if all apply.
        groups: the groups of the lanes.
        rounding_eps: machine epsilon of the dtype in which the scores came.

    Returns:
        Lanes in the dtype to compute in, multiples of 1/2 that add up to 0 in every group; 0 where a reward does not
        apply.

    Example:
        >>> scores = torch.tensor([0.2, 7.0, 0.2, 0.5]).view(4, 1, 1)
        >>> centred_ranks(scores, None, Groups.of_one(4), 1e-7).flatten().tolist()
        [-1.0, 1.5, -1.0, 0.5]
    """
    dtype = compute_dtype(lanes.device)
    step = groups.spread(groups.largest(lanes) * rounding_eps)
    scores = lanes if applies is None else lanes.masked_fill(applies == 0, torch.inf)  # last, where they rank nobody
    if groups.index is None:
        ordered, order = scores.sort(0)
        ranks = torch.empty_like(ordered, dtype=dtype)
        ranks.scatter_(0, order, _middle_of_rows(ordered[1:] - ordered[:-1] > step, dtype))
    else:
        order = _order_inside_groups(scores, groups.index)
        ordered, index = scores.gather(-1, order), groups.index.expand_as(order).gather(-1, order)
        parted = (ordered.diff() > step.gather(-1, order)[..., 1:]) | (index.diff() != 0)
        ranks = torch.empty_like(ordered, dtype=dtype).scatter_(-1, order, _middle_of_runs(parted, dtype))
    if applies is not None:
        ranks *= applies
    count = groups.total(torch.ones_like(ranks[..., :1, :]) if applies is None else applies)
    ranks -= groups.spread(groups.total(ranks) / count.clamp_min(1))
    return ranks if applies is None else ranks.mul_(applies)


def _order_inside_groups(scores: Tensor, index: Tensor) -> Tensor:
    """(K, N) places of the rollouts by group, and inside a group by score."""
    by_score = scores.argsort(-1)
    by_group = index.expand_as(by_score).gather(-1, by_score).argsort(stable=True, dim=-1)
    return by_score.gather(-1, by_group)


def _middle_of_rows(parted: Tensor, dtype: torch.dtype) -> Tensor:
    """(G, K, Q) middle place of the run that each place of sorted scores belongs to.

    Args:
        parted: (G - 1, K, Q) bool: a place does not belong to the run of the next one.
        dtype: of the result.
    """
    size = len(parted) + 1
    first = torch.zeros(size, *parted.shape[1:], dtype=dtype)
    last = torch.full_like(first, size - 1)
    places = torch.arange(size, dtype=dtype).view(-1, *[1] * (parted.ndim - 1))
    # The first place of a run is the largest behind a parting so far, the last one the least before a parting to come.
    torch.mul(parted, places[1:], out=first[1:])
    last[:-1] -= parted * (size - 1 - places[:-1])
    for before, here in pairwise(first.unbind()):
        torch.maximum(before, here, out=here)
    for after, here in pairwise(reversed(last.unbind())):
        torch.minimum(after, here, out=here)
    return first.add_(last).div_(2)


def _middle_of_runs(parted: Tensor, dtype: torch.dtype) -> Tensor:
    """(K, N) the same for places in a row, from (K, N - 1); not place by place, since there may be many."""
    places = torch.arange(parted.shape[-1] + 1, device=parted.device)
    edge = parted.new_ones(*parted.shape[:-1], 1)
    first = torch.where(torch.cat([edge, parted], -1), places, -1).cummax(-1).values
    # From the end: the largest of the negated places is the nearest end.
    last = torch.where(torch.cat([parted, edge], -1), -places, -len(places)).flip(-1).cummax(-1).values.flip(-1).neg_()
    return (first + last).to(dtype) / 2
