"""From rows in the order of a log to whole groups, step by step, with one chunk in memory where the log is in order.

A step is complete when another begins, and a group of a step too large to hold when another group begins. If it returns
later, the log is not in order: the caller collects its rows in parts of whole groups instead, and each part is sorted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gd2po.errors import DataFormatError
from gd2po.logs.dialects.base import Groups
from gd2po.report.wording import counted

CHUNK_ROLLOUTS = 65_536
"""Rollouts of a chunk: whole steps are added until there are as many."""

LARGEST_STEP = 262_144
"""A step with more rollouts is no training batch; it is cut into chunks of about that size."""


class StepReturnsError(Exception):
    """A step returned after another had begun, or a group of a step that is read in pieces."""


class SeenNumbers:
    """Numbers that have been seen. While they rise there is nothing to look up, and each takes eight bytes."""

    def __init__(self) -> None:
        self._rising = array("q")
        self._others: set[int] | None = None

    def add(self, number: int) -> None:
        """Take a number in."""
        if self._others is not None:
            self._others.add(number)
        elif not self._rising or number > self._rising[-1]:
            self._rising.append(number)
        else:
            self._others = {*self._rising, number}

    def __contains__(self, number: int) -> bool:
        if self._others is not None:
            return number in self._others
        if not self._rising or number > self._rising[-1]:
            return False
        return self._rising[bisect_left(self._rising, number)] == number


@dataclass(frozen=True)
class Rows:
    """The numbers of N rollouts with K rewards."""

    steps: NDArray[np.int64]
    """(N,)"""
    keys: NDArray[np.int64]
    """(N,) equal where the group's column is."""
    rewards: NDArray[np.float32]
    """(N, K) NaN where a reward does not apply. float32 as in trainers, so that the core's rule for rounding fits."""
    lengths: NDArray[np.float64]
    """(N,) tokens of the completion; NaN where unknown."""
    places: NDArray[np.int64]
    """(N,) file and row, packed."""

    def take(self, index: NDArray[np.int64] | slice) -> Rows:
        """Some of the rows."""
        return Rows(self.steps[index], self.keys[index], self.rewards[index], self.lengths[index], self.places[index])

    def __len__(self) -> int:
        return len(self.steps)

    @staticmethod
    def join(parts: list[Rows]) -> Rows:
        """The rows of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return Rows(
            np.concatenate([part.steps for part in parts]),
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.rewards for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.places for part in parts]),
        )


@dataclass(frozen=True)
class Chunk:
    """Whole groups: N rows sorted by step, then group, in Q groups and M steps."""

    rows: Rows
    group_starts: NDArray[np.int64]
    """(Q,) first row of each group."""
    step_starts: NDArray[np.int64]
    """(M,) first row of each step."""


class GroupAssembler:
    """Turns rows into chunks of whole groups.

    Args:
        groups: which rollouts of a step form a group.
        in_order: False holds all rows and sorts them by step.
        same: whether two steps hold the very same rollouts, which then count once; None where that cannot happen.
    """

    def __init__(self, groups: Groups, *, in_order: bool, same: Callable[[Rows, Rows], bool] | None) -> None:
        self.rule, self.group_size, self.in_order, self.same = groups.rule, groups.size, in_order, same
        self.repeated_steps = 0
        """Steps that are excluded because they hold the very rollouts of the step before."""
        self.split_runs = 0
        """Runs of one prompt that were split into several groups."""
        self.odd_runs = 0
        """Runs of one prompt whose length is not a multiple of the group size."""
        self._finished = SeenNumbers()
        self._open: list[Rows] = []
        self._open_rows = 0
        self._cut_at = LARGEST_STEP
        self._cut_rows = 0
        """Of the open step, those that are out already."""
        self._cut_keys = np.empty(0, dtype=np.int64)
        """Their groups' keys, sorted."""
        self._ready: list[Rows] = []
        self._ready_rows = 0
        self._previous: Rows | None = None

    def notes(self) -> list[str]:
        """How the groups were found and what was excluded, in sentences."""
        notes = []
        if self.rule == "runs" and self.group_size is not None:
            notes.append(
                f"Groups are consecutive rows of one prompt, {self.group_size} to a group as in the most common run "
                "(`group_size` overrides this)."
            )
        if self.split_runs:
            runs = counted(self.split_runs, "longer run of one prompt was", "longer runs of one prompt were")
            notes.append(f"{runs} split into groups of that size.")
        if self.odd_runs:
            one, several = "run of one prompt is not a multiple", "runs of one prompt are not multiples"
            notes.append(f"{counted(self.odd_runs, one, several)} of that size: each counts as one group.")
        if self.repeated_steps:
            one = "step repeats the rollouts of the step before and is"
            several = "steps repeat the rollouts of the step before and are"
            notes.append(
                f"{counted(self.repeated_steps, one, several)} excluded: a generation batch is logged at every step "
                "that trains on it."
            )
        return notes

    def add(self, rows: Rows) -> Iterator[Chunk]:
        """Add rows in the order of the log; chunks come out as they fill.

        Raises:
            StepReturnsError: a step returned, and the rows were said to be in order.
        """
        if not len(rows):
            return
        if not self.in_order:
            self._open.append(rows)
            return
        starts = np.concatenate([[0], np.flatnonzero(rows.steps[1:] != rows.steps[:-1]) + 1, [len(rows)]])
        for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            step = int(rows.steps[begin])
            if self._open and int(self._open[0].steps[0]) != step:
                self._finish_step()
                if self._ready_rows >= CHUNK_ROLLOUTS:
                    yield from self._emit()
            if step in self._finished:
                raise StepReturnsError
            self._open.append(rows.take(slice(begin, end)))
            self._open_rows += end - begin
            if self._open_rows > self._cut_at and self.same is None:
                yield from self._cut_step()

    def finish(self) -> Iterator[Chunk]:
        """The chunks of the remaining rows."""
        if self.in_order:
            if self._open:
                self._finish_step()
            if self._ready_rows:
                yield from self._emit()
        elif self._open:
            rows, self._open = Rows.join(self._open), []
            if np.any(rows.steps[1:] < rows.steps[:-1]):
                rows = rows.take(np.argsort(rows.steps, kind="stable"))
            yield from self._pieces(self._arrange(rows))

    def _cut_step(self) -> Iterator[Chunk]:
        """What is there of a large step, up to the last group, which may go on."""
        rows = Rows.join(self._open)
        size = self.group_size or 1
        last = (len(rows) - 1) // size * size if self.rule == "blocks" else int(_starts(rows.keys)[-1])
        self._open, self._open_rows = [rows], len(rows)
        self._cut_at = LARGEST_STEP if last else 2 * len(rows)
        if last == 0:
            return
        if self._ready_rows:
            yield from self._emit()
        self._leave(rows.take(slice(0, last)))
        yield from self._pieces(self._arrange(rows.take(slice(0, last))))
        rest = rows.take(np.arange(last, len(rows)))  # a copy: a view would keep all of them
        self._open, self._open_rows = [rest], len(rest)

    def _leave(self, rows: Rows) -> None:
        """Count rows of the open step as out, none of whose groups was before."""
        if self.rule == "column":
            keys = rows.keys[_starts(rows.keys)]
            if len(self._cut_keys):
                places = np.minimum(np.searchsorted(self._cut_keys, keys), len(self._cut_keys) - 1)
                if np.any(self._cut_keys[places] == keys):
                    raise StepReturnsError
            # A stable sort merges what is sorted in parts, as here; NumPy's functions on sets hash all of it anew.
            self._cut_keys = np.sort(np.concatenate([self._cut_keys, np.sort(keys)]), kind="stable")
        self._cut_rows += len(rows)

    def _finish_step(self) -> None:
        rows = Rows.join(self._open)
        self._open, self._open_rows, self._cut_at = [], 0, LARGEST_STEP
        if self._cut_rows:
            self._leave(rows)
            if self.rule == "blocks":
                self._check_blocks(int(rows.steps[0]), self._cut_rows)
            self._cut_rows, self._cut_keys = 0, np.empty(0, dtype=np.int64)
        self._finished.add(int(rows.steps[0]))
        if self.same is not None and self._previous is not None and self.same(self._previous, rows):
            self.repeated_steps += 1
            return
        self._previous = rows
        self._ready.append(rows)
        self._ready_rows += len(rows)

    def _emit(self) -> Iterator[Chunk]:
        rows = Rows.join(self._ready)
        self._ready, self._ready_rows = [], 0
        yield from self._pieces(self._arrange(rows))

    def _arrange(self, rows: Rows) -> Chunk:
        """The rows sorted by step and group, both in the order in which they first appear."""
        step_index = _first_seen_index(rows.steps)
        order = np.arange(len(rows))
        if np.any(step_index[1:] < step_index[:-1]):
            order = np.argsort(step_index, kind="stable")
            rows, step_index = rows.take(order), step_index[order]
        step_starts = _starts(step_index)
        if self.rule == "blocks":
            return Chunk(rows, self._blocks(rows, step_starts), step_starts)
        run_starts = _starts(step_index, rows.keys)
        if self.rule == "runs":
            return Chunk(rows, self._split_runs(run_starts, len(rows)), step_starts)
        _, keys = np.unique(rows.keys, return_inverse=True)
        pairs = step_index * (int(keys.max()) + 1) + keys
        if len(np.unique(pairs[run_starts])) == len(run_starts):  # groups are consecutive already
            return Chunk(rows, run_starts, step_starts)
        groups = _first_seen_index(pairs)
        order = np.argsort(groups, kind="stable")
        return Chunk(rows.take(order), _starts(groups[order]), step_starts)

    def _blocks(self, rows: Rows, step_starts: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = np.diff(np.append(step_starts, len(rows)))
        for step, count in zip(rows.steps[step_starts].tolist(), counts.tolist(), strict=True):
            self._check_blocks(step, count)
        return np.arange(0, len(rows), self.group_size or 1)

    def _check_blocks(self, step: int, count: int) -> None:
        """Raise unless the rollouts of a step are whole groups."""
        size = self.group_size or 1
        if count % size:
            raise DataFormatError(
                f"`group_size` must divide the number of rollouts in every step: got {size}, and step {step} has "
                f"{count} rollouts."
            )

    def _split_runs(self, run_starts: NDArray[np.int64], num_rows: int) -> NDArray[np.int64]:
        """First rows of the groups in runs of one prompt: a run of two or three group sizes is as many groups."""
        lengths = np.diff(np.append(run_starts, num_rows))
        if self.group_size is None:
            self.group_size = common_run_length(lengths)
        size = self.group_size
        whole = lengths % size == 0
        self.odd_runs += int((~whole).sum())
        self.split_runs += int((whole & (lengths > size)).sum())
        pieces = np.where(whole, lengths // size, 1)
        within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        return np.asarray(np.repeat(run_starts, pieces) + within * size)

    def _pieces(self, chunk: Chunk) -> Iterator[Chunk]:
        """The chunk, cut between groups where it is much larger than a training batch."""
        total = len(chunk.rows)
        if total <= LARGEST_STEP + CHUNK_ROLLOUTS:
            yield chunk
            return
        yield from split_chunk(chunk, LARGEST_STEP)


def split_chunk(chunk: Chunk, size: int) -> Iterator[Chunk]:
    """The chunk in pieces of about so many rollouts, cut between steps where one ends nearby, else between groups."""
    total = len(chunk.rows)
    cuts = [0]
    for target in range(size, total, size):
        for starts in (chunk.step_starts, chunk.group_starts):
            cut = int(starts[np.searchsorted(starts, target, side="right") - 1])
            if cut > cuts[-1]:
                cuts.append(cut)
                break
    for begin, end in zip(cuts, [*cuts[1:], total], strict=True):
        groups = chunk.group_starts[(chunk.group_starts >= begin) & (chunk.group_starts < end)] - begin
        rows = chunk.rows.take(slice(begin, end))
        yield Chunk(rows, groups, _starts(rows.steps))


def common_run_length(lengths: NDArray[np.int64]) -> int:
    """The group size behind runs of one prompt: their most common length, the shortest of several.

    Example:
        >>> common_run_length(np.array([8, 8, 16, 8, 3]))
        8
    """
    counts = Counter(lengths.tolist())
    most = max(counts.values())
    return int(min(length for length, count in counts.items() if count == most))


def _starts(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows at which some column changes, the first included."""
    changes = np.zeros(len(columns[0]), dtype=bool)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def _first_seen_index(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values numbered 0, 1, ... in the order in which they first appear."""
    runs = _starts(values)
    _, first, inverse = np.unique(values[runs], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.repeat(rank[inverse], np.diff(np.append(runs, len(values))))
