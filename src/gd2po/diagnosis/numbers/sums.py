"""Running sums over the groups and steps of a log: bounded in memory, and enough for every number of a report."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

from gd2po.core.conflicts import first_dropping_step
from gd2po.core.statistics import pair_indices
from gd2po.diagnosis.numbers.batch import Batch, Floats, Indices

STEPS = 100
THRESHOLDS = np.arange(STEPS + 1) / STEPS
"""The thresholds of the explorer; every second one is on the grid of the adaptive threshold."""

BLOCKS = 2000
"""Blocks that groups are put into for the bootstrap. The first so many groups have a block each, so up to here it
resamples groups; after that each further group goes to a block at random, and blocks are resampled."""

SHOWN_CANDIDATES = 64
"""Most conflicted groups that are remembered, to choose those with different prompts from."""

REMEMBERED_ROLLOUTS = 32
"""Rollouts of a conflicted group that are remembered, to choose those with different completions from."""

FIRST_STEPS = 4096
"""Steps that there is room for at first."""

MOST_DISTINCT = 16
"""Values of a reward that are told apart."""


@dataclass(frozen=True)
class ConflictedGroup:
    """A group in which rewards cancel, with the rollouts to show: n of them, K rewards."""

    lost: float
    """Signal that cancels, per rollout: mean of sum |y| - |sum y|."""
    step: int
    size: int
    places: Indices
    rewards: Floats
    reward_advantages: Floats
    snr: Floats
    cancelled: Floats
    """Signal of each rollout that cancels."""
    conflicts: list[bool]


class BlockSums:
    """Sums of groups in blocks, the material of the bootstrap; the sum over blocks is the sum over the log."""

    def __init__(self, num_rewards: int, seed: int = 0) -> None:
        self.columns: dict[str, slice] = {}
        self.values = torch.zeros(0, 0, dtype=torch.float64)
        self.lost = torch.zeros(0, 2 * num_rewards + 1, dtype=torch.float64)
        """Per block and first threshold that drops it: |y| (K), its negative side (K) and number of the conflicts."""
        self.num_groups = 0
        self._random = np.random.default_rng(seed)

    @property
    def used(self) -> int:
        """Blocks that hold something."""
        return min(self.num_groups, BLOCKS)

    def add(self, batch: Batch) -> None:
        """Take the groups of a chunk in."""
        sums = batch.group_sums
        if not self.columns:
            position = 0
            for name, values in sums.items():
                self.columns[name] = slice(position, position + values.shape[1])
                position += values.shape[1]
            self.values = torch.zeros(0, position, dtype=torch.float64)
        blocks = self._blocks_for(len(batch.group_starts))
        self._grow()
        self.values.index_add_(
            0, torch.from_numpy(blocks), torch.from_numpy(np.concatenate(list(sums.values()), axis=1))
        )

        rows = np.flatnonzero(batch.signals.result.conflict_mask.numpy())
        places = first_dropping_step(torch.from_numpy(batch.scores[rows]), STEPS).numpy()
        slots = np.repeat(blocks, batch.group_sizes)[rows] * len(THRESHOLDS) + places
        lost = np.concatenate([batch.terms[name][rows] for name in ("magnitude", "penalty", "conflicts")], axis=1)
        self.lost.index_add_(0, torch.from_numpy(slots), torch.from_numpy(lost))

    def _grow(self) -> None:
        """Make room for the blocks in use: all from the start would be gigabytes where the rewards are many."""
        if len(self.values) < self.used:
            rows = min(BLOCKS, 2 * self.used) - len(self.values)
            self.values = torch.cat([self.values, self.values.new_zeros(rows, self.values.shape[1])])
            self.lost = torch.cat([self.lost, self.lost.new_zeros(rows * len(THRESHOLDS), self.lost.shape[1])])

    def _blocks_for(self, count: int) -> Indices:
        own = np.arange(self.num_groups, min(self.num_groups + count, BLOCKS))
        shared = self._random.integers(0, BLOCKS, size=count - len(own))
        self.num_groups += count
        return np.concatenate([own, shared]).astype(np.int64)

    def lost_by_threshold(self) -> torch.Tensor:
        """(blocks, H, 2K+1) what each threshold drops; at 1 that is every conflict."""
        return self.lost.view(-1, len(THRESHOLDS), self.lost.shape[1])[: self.used].cumsum(1)


@dataclass
class Sums:
    """All running sums of a log with K rewards."""

    num_rewards: int
    blocks: BlockSums = field(init=False)
    group_sizes: dict[int, int] = field(default_factory=dict)
    """How many groups have each size."""
    distinct: list[set[float]] = field(init=False)
    """Values of each reward, as long as they are few."""
    largest_snr: float = 0.0
    """Of all conflicts."""
    conflicted: list[tuple[float, int, ConflictedGroup]] = field(default_factory=list)
    _steps: _StepRows = field(default_factory=lambda: _StepRows())

    def __post_init__(self) -> None:
        self.blocks = BlockSums(self.num_rewards)
        self.distinct = [set() for _ in range(self.num_rewards)]

    def add(self, batch: Batch) -> None:
        """Take a chunk in."""
        self.blocks.add(batch)
        sizes, counts = np.unique(batch.group_sizes, return_counts=True)
        for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
            self.group_sizes[size] = self.group_sizes.get(size, 0) + count
        scores = batch.scores[batch.signals.result.conflict_mask.numpy()]
        self.largest_snr = max(self.largest_snr, scores.max(initial=0.0))
        for values, column in zip(self.distinct, batch.rewards.T, strict=True):
            if len(values) <= MOST_DISTINCT:
                values.update(np.unique(column[~np.isnan(column)])[: MOST_DISTINCT + 1].tolist())
        self._steps.add(_step_sums(batch))
        self._remember_conflicted(batch)

    @property
    def num_rollouts(self) -> int:
        """All rollouts, those to which nothing applies included."""
        return sum(size * count for size, count in self.group_sizes.items())

    def steps(self) -> dict[str, Floats]:
        """Sums of each step, (M, ...), in the order of their numbers; a step that was read in pieces is one."""
        joined = self._steps.columns()
        for extreme, reduce in (("highest", np.maximum), ("lowest", np.minimum)):
            # Rollouts at the extreme of the log; a step or piece that stays short of it has none.
            at = joined[extreme] == reduce.reduce(joined[extreme], axis=0)
            joined[f"at_{extreme}"] = np.where(at, joined[f"at_{extreme}"], 0)
        if np.all(joined["step"][1:] > joined["step"][:-1]):
            return joined
        numbers, index = np.unique(joined.pop("step"), return_inverse=True)
        order = np.argsort(index, kind="stable")
        starts = np.searchsorted(index[order], np.arange(len(numbers)))
        how = {"highest": np.maximum, "lowest": np.minimum}
        merged = {
            name: how.get(name, np.add).reduceat(values[order], starts, axis=0) for name, values in joined.items()
        }
        return {"step": numbers, **merged}

    def _remember_conflicted(self, batch: Batch) -> None:
        """Keep the groups in which the most signal cancels."""
        cancelled = batch.terms["magnitude"].sum(1) - batch.terms["combined"][:, 0]
        lost = batch.per_group(cancelled) / batch.group_sizes
        result = batch.signals.result
        count = min(SHOWN_CANDIDATES, len(lost))
        for group in np.argpartition(-lost, count - 1)[:count].tolist():
            if lost[group] <= 0 or (len(self.conflicted) >= SHOWN_CANDIDATES and lost[group] <= self.conflicted[0][0]):
                continue
            begin = int(batch.group_starts[group])
            size = int(batch.group_sizes[group])
            rows = slice(begin, begin + size)
            # The rollouts of a large group that conflict the most, in the order of the log.
            strongest = np.sort(np.argsort(-cancelled[rows], kind="stable")[:REMEMBERED_ROLLOUTS])
            shown = begin + strongest
            step = int(batch.steps[batch.steps_of_groups[group]])
            entry = ConflictedGroup(
                lost=float(lost[group]),
                step=step,
                size=size,
                places=batch.places[shown],
                rewards=batch.rewards[shown],
                reward_advantages=result.reward_advantages.numpy()[shown],
                snr=batch.scores[shown],
                cancelled=cancelled[shown],
                conflicts=result.conflict_mask.numpy()[shown].tolist(),
            )
            # The place breaks ties, so that the choice does not depend on the size of chunks.
            item = (entry.lost, -int(batch.places[begin]), entry)
            if len(self.conflicted) < SHOWN_CANDIDATES:
                heapq.heappush(self.conflicted, item)
            else:
                heapq.heappushpop(self.conflicted, item)


class _StepRows:
    """Rows of named columns, one per step and piece, each column in one array that grows by doubling.

    Small arrays per chunk would lie scattered among the large ones that come and go, which then find no room any more
    in memory that was free before: the process grows though nothing is kept.
    """

    def __init__(self) -> None:
        self._columns: dict[str, Floats] = {}
        self._used = 0

    def add(self, rows: dict[str, Floats]) -> None:
        """Take rows in."""
        used = self._used + len(rows["step"])
        for name, values in rows.items():
            column = self._columns.get(name, np.empty((0, *values.shape[1:])))
            if used > len(column):
                grown = np.empty((max(FIRST_STEPS, 2 * used), *values.shape[1:]))
                grown[: self._used] = column[: self._used]
                self._columns[name] = column = grown
            column[self._used : used] = values
        self._used = used

    def columns(self) -> dict[str, Floats]:
        """All rows, in the order in which they came."""
        return {name: column[: self._used] for name, column in self._columns.items()}


def _step_sums(batch: Batch) -> dict[str, Floats]:
    """Sums of each step for the curves, (M, ...)."""
    groups = batch.group_sums
    starts = np.searchsorted(batch.steps_of_groups, np.arange(len(batch.steps)))
    known = ~np.isnan(batch.lengths)
    sums = {
        name: np.add.reduceat(groups[name], starts, axis=0)
        for name in ("rollouts", "conflicts", "applies", "reward", "scored_groups", "constant_groups", "groups")
    }
    high = np.maximum.reduceat(np.where(batch.applies, batch.rewards, -np.inf), batch.step_starts, axis=0)
    low = np.minimum.reduceat(np.where(batch.applies, batch.rewards, np.inf), batch.step_starts, axis=0)
    return {
        **sums,
        "step": batch.steps.astype(np.float64),
        "highest": high,
        "at_highest": batch.per_step(batch.rewards == batch.spread_steps(high)),
        "lowest": low,
        "at_lowest": batch.per_step(batch.rewards == batch.spread_steps(low)),
        "length": batch.per_step(np.where(known, batch.lengths, 0))[:, None],
        "with_length": batch.per_step(known)[:, None],
    }


@cache
def pairs_of(num_rewards: int) -> list[tuple[int, int]]:
    """The pairs of rewards, in the order of all sums over pairs."""
    return [(int(first), int(second)) for first, second in pair_indices(num_rewards).T]


def threshold_index(threshold: float) -> int:
    """Place of the threshold among the explorer's, the nearest one."""
    return int(np.abs(THRESHOLDS - threshold).argmin())
