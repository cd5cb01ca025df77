"""A log that is not in order, in parts of whole groups that fit into memory one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gd2po.logs.grouping import Rows

MOST_ROLLOUTS = 2**22
"""Rollouts that are sorted at a time; they take some 200 bytes each while they are."""


@dataclass(frozen=True)
class Part:
    """Rollouts of some steps, or of some groups of one step.

    Args:
        first: the first step.
        last: the last one, included; None for both: all of them.
        share: of the groups, that with this number.
        shares: into which the groups are dealt by their keys.
    """

    first: int | None = None
    last: int | None = None
    share: int = 0
    shares: int = 1

    def choose(self, rows: Rows) -> Rows:
        """The rows of this part."""
        inside = np.ones(len(rows), dtype=bool)
        if self.first is not None:
            inside &= rows.steps >= self.first
        if self.last is not None:
            inside &= rows.steps <= self.last
        if self.shares > 1:
            inside &= rows.keys % self.shares == self.share
        return rows if inside.all() else rows.take(inside)


def parts_of(rollouts: Mapping[int, int], *, by_key: bool) -> list[Part]:
    """Parts of about `MOST_ROLLOUTS` rollouts, in the order of their steps.

    Args:
        rollouts: how many each step has.
        by_key: groups are known by their keys alone, so that a larger step can be taken apart.

    Example:
        >>> parts_of({1: 2**22, 2: 2**21, 3: 2**21, 4: 1}, by_key=True)[1]
        Part(first=2, last=3, share=0, shares=1)
    """
    parts: list[Part] = []
    room = 0
    for step in sorted(rollouts):
        if parts and parts[-1].shares == 1 and rollouts[step] <= room:
            parts[-1] = Part(parts[-1].first, step)
            room -= rollouts[step]
            continue
        shares = -(-rollouts[step] // MOST_ROLLOUTS) if by_key else 1
        parts += [Part(step, step, share, shares) for share in range(shares)]
        room = MOST_ROLLOUTS - rollouts[step]
    return parts
