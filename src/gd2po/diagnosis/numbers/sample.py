"""Whole steps of a log, evenly spaced and bounded in number: what settings are evaluated on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gd2po.logs.grouping import Chunk

MOST_STEPS = 256
MOST_ROLLOUTS = 2**19
"""Together and in a single step, which then is cut between groups."""


@dataclass(frozen=True)
class Step:
    """One training batch of the log: N rollouts, K rewards."""

    number: int
    rewards: Tensor
    """(N, K) as in the log; NaN where a reward does not apply."""
    group_ids: Tensor
    """(N,)"""
    token_counts: Tensor | None
    """(N,) None where the log does not know all of them."""
    weights: Tensor | None = None
    """(K,) of the rewards at this step; None where they are the same at all steps."""
    places: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """(N,) where the log has each rollout; empty for steps that come from no log."""


@dataclass
class _Held:
    """A step as it arrives, in one piece or several."""

    place: int
    number: int
    rewards: list[np.ndarray] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)
    group_sizes: list[np.ndarray] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    rollouts: int = 0
    is_full: bool = False

    def add(self, rewards: np.ndarray, lengths: np.ndarray, places: np.ndarray, group_sizes: np.ndarray) -> None:
        """Take whole groups in, as far as there is room; at least one group."""
        if self.is_full:
            return
        fitting = int(np.searchsorted(np.cumsum(group_sizes), MOST_ROLLOUTS - self.rollouts, side="right"))
        self.is_full = fitting < len(group_sizes)
        sizes = group_sizes[: max(fitting, 0 if self.rollouts else 1)]
        count = int(sizes.sum())
        # Copies: a view would keep the whole chunk in memory.
        self.rewards.append(rewards[:count].copy())
        self.lengths.append(lengths[:count].copy())
        self.places.append(places[:count].copy())
        self.group_sizes.append(sizes)
        self.rollouts += count

    def step(self) -> Step:
        """The step in one piece."""
        sizes, lengths = np.concatenate(self.group_sizes), np.concatenate(self.lengths)
        return Step(
            number=self.number,
            rewards=torch.from_numpy(np.concatenate(self.rewards)),
            group_ids=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
            token_counts=None if np.isnan(lengths).any() else torch.from_numpy(lengths),
            places=np.concatenate(self.places),
        )


class StepSample:
    """Every step of a log, or every second, fourth, ... of those that are too many."""

    def __init__(self) -> None:
        self._stride = 1
        self._seen = 0
        self._current: _Held | None = None
        """The step that came last, held or not: the next chunk may bring more of it."""
        self._held: list[_Held] = []

    def add(self, chunk: Chunk) -> None:
        """Take a chunk in; a step that it begins with may have begun in the chunk before."""
        rows = chunk.rows
        group_edges = np.append(chunk.group_starts, len(rows))
        for begin, end in zip(chunk.step_starts, np.append(chunk.step_starts[1:], len(rows)), strict=True):
            number = int(rows.steps[begin])
            if self._current is None or self._current.number != number:
                self._current = _Held(self._seen, number)
                if self._current.place % self._stride == 0:
                    self._held.append(self._current)
                self._seen += 1
            if self._held and self._held[-1] is self._current:
                edges = group_edges[(group_edges >= begin) & (group_edges <= end)]
                self._current.add(
                    rows.rewards[begin:end], rows.lengths[begin:end], rows.places[begin:end], np.diff(edges)
                )
                self._thin()

    def steps(self) -> list[Step]:
        """The steps that were chosen, in order."""
        return [held.step() for held in self._held]

    def _thin(self) -> None:
        """Leave out every second step until neither they nor their rollouts are too many."""
        while len(self._held) > 1 and (
            len(self._held) > MOST_STEPS or sum(held.rollouts for held in self._held) > MOST_ROLLOUTS
        ):
            self._stride *= 2
            self._held = [held for held in self._held if held.place % self._stride == 0]
