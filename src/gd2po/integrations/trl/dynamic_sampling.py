"""Dynamic sampling: groups without signal under the run's method are replaced by groups of other prompts.

What is generated and how is TRL's: the loop calls TRL's own step of generating and scoring again, with as many prompts
as groups are missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gd2po.integrations.session import Session
from gd2po.integrations.trl.generated import Generated


@dataclass(frozen=True, eq=False)
class GroupSignals:
    """Which of Q groups the update would get something from."""

    has_signal: Tensor
    """(Q,) bool"""
    cancelled: Tensor
    """(Q,) bool: some reward varies, and the method leaves no signal."""

    @staticmethod
    def of(session: Session, batch: Generated, group_size: int) -> GroupSignals:
        """The groups of a batch under the session's method; batch statistics are those of this batch."""
        group_ids = torch.arange(len(batch.rewards), device=batch.rewards.device) // group_size
        masks = session.signal_masks(batch.rewards, group_ids, batch.token_counts)
        return GroupSignals(*(mask[::group_size] for mask in masks))


@dataclass(frozen=True, eq=False)
class FilledBatch:
    """A batch after its groups without signal were replaced, as far as they could be."""

    batch: Generated
    gen_batches: int
    """How often was generated, the first time included."""
    drawn_groups: int
    drawn_silent: int
    """Of the drawn groups, those without signal."""
    drawn_cancelled: int
    """Of those without signal, the ones in which a reward varies."""
    left_silent: int
    """Groups of the batch that have no signal still."""


def fill(
    batch: Generated,
    *,
    draw: Callable[[int], Generated],
    judge: Callable[[Generated], GroupSignals],
    group_size: int,
    max_num_gen_batches: int,
) -> FilledBatch:
    """The batch with its groups without signal replaced, in their places, by drawn ones that have one.

    Args:
        batch: as generated first.
        draw: generates at least so many groups of other prompts.
        judge: says which groups of a batch have a signal.
        group_size: rollouts of each group.
        max_num_gen_batches: how often to generate at most, the first time included.
    """
    signals = judge(batch)
    num_groups = len(signals.has_signal)
    gen_batches, drawn = 1, num_groups
    silent, cancelled = int((~signals.has_signal).sum()), int(signals.cancelled.sum())
    while not signals.has_signal.all() and gen_batches < max_num_gen_batches:
        missing = (~signals.has_signal).nonzero()[:, 0]
        fresh = draw(len(missing))
        gen_batches += 1
        # Among the groups that stay, so that methods with statistics over the batch see what the optimiser will see.
        staying = batch.picked(_rows(signals.has_signal.nonzero()[:, 0], group_size))
        judged = judge(staying.joined(fresh))
        first = num_groups - len(missing)
        found = judged.has_signal[first:].nonzero()[:, 0]
        drawn += len(judged.has_signal) - first
        silent += int((~judged.has_signal[first:]).sum())
        cancelled += int(judged.cancelled[first:].sum())
        if len(found):
            places = torch.arange(num_groups, device=found.device)
            count = min(len(found), len(missing))
            places[missing[:count]] = num_groups + found[:count]
            batch = batch.joined(fresh).picked(_rows(places, group_size))
            signals = judge(batch)
    return FilledBatch(batch, gen_batches, drawn, silent, cancelled, int((~signals.has_signal).sum()))


def _rows(groups: Tensor, group_size: int) -> Tensor:
    """The rows of groups, group by group."""
    return (groups[:, None] * group_size + torch.arange(group_size, device=groups.device)).flatten()


class ReplacementPrompts:
    """Prompts for replacements: a function of the seed, the step, and how often was generated in it.

    Each generated batch has a permutation of the data set of its own, so no prompt comes twice before all have come
    once. Nothing has to be saved for a resumed run to draw the same.

    Args:
        dataset: rows by number.
        seed: of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self._dataset, self._seed = dataset, seed
        self._place, self._drawn = (-1, 0), 0

    def start(self, step: int) -> None:
        """A new batch is generated at this step of the optimizer; there may be several of one step."""
        last_step, number = self._place
        self._place, self._drawn = (step, number + 1 if step == last_step else 0), 0

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next so many rows."""
        size = len(self._dataset)
        rows = []
        for position in range(self._drawn, self._drawn + count):
            round_, place = divmod(position, size)
            if place == 0 or position == self._drawn:
                order = np.random.default_rng([self._seed, *self._place, round_]).permutation(size)
            rows.append(self._dataset[int(order[place])])
        self._drawn += count
        return rows


def rows_of_process(
    rows: Sequence[dict[str, Any]], group_size: int, process: int, processes: int
) -> list[dict[str, Any]]:
    """The prompts of this process if each is repeated for its group; a dictionary each, which TRL may write into."""
    repeated = [dict(row) for row in rows for _ in range(group_size)]
    count = len(repeated) // processes
    return repeated[process * count : (process + 1) * count]


def groups_to_draw(missing: int, group_size: int, processes: int) -> int:
    """The least number of groups, `missing` or more, whose rollouts the processes can share evenly."""
    step = processes // math.gcd(processes, group_size)
    return math.ceil(missing / step) * step
