"""The rollouts of a log as tables: groups x rollouts, padded to the largest group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd2po.errors import DataFormatError, InvalidInputError, did_you_mean
from gd2po.logs.grouping import Chunk, StepReturnsError
from gd2po.logs.names import reward_name
from gd2po.logs.reward_log import RewardLog

MOST_PLACES = 2**25
"""Groups times the rollouts of the largest one: tables are padded, and learning holds a dozen of them."""


@dataclass(frozen=True, eq=False)
class Rollouts:
    """P groups of up to C rollouts with K rewards."""

    rewards: Tensor
    """(P, C, K) as in the log; NaN where a reward does not apply."""
    exists: Tensor
    """(P, C) bool: False for the padding of smaller groups."""
    prompts: NDArray[np.int64]
    """(P,) equal where the prompt of two groups is the same."""
    lone: int
    """Rollouts that are the only ones of their group, which are left out."""

    @property
    def usual_size(self) -> int:
        """The most common size of a group; of several as common, the smallest."""
        return int(self.exists.sum(1).bincount().argmax())


def with_gold(log: RewardLog, gold: str) -> tuple[RewardLog, bool]:
    """The log with its gold as the last of the reward columns, and whether it was found among the rewards.

    Raises:
        InvalidInputError: the gold is named among the rewards too, or nothing else is left.
        DataFormatError: the log has no such column; names the nearest.
    """
    columns = log.layout.reward_columns
    column = next((name for name in [*columns, *log.columns] if gold in (name, reward_name(name))), None)
    if column is None:
        raise DataFormatError(
            f"`gold` needs a column of {log.files.source}: got {gold!r}. {did_you_mean(gold, log.columns)}"
        )
    if log.choices.rewards is not None and column in columns:
        raise InvalidInputError(
            f"`gold` must not be learned from: {gold!r} is among `rewards` too, and a method that learns from it shows "
            "nothing by raising it. Take it out of `rewards`."
        )
    training = [name for name in columns if name != column]
    if not training:
        raise InvalidInputError(f"`gold` is the only reward of {log.files.source}: nothing is left to learn from.")
    choices = replace(log.choices, rewards=[*training, column])
    again = RewardLog(log.files.source, choices, step_range=log.step_range, skip_bad_rows=log.skip_bad_rows)
    # Its last reason says that all of them were named as rewards.
    again.layout.reasons[-1] = log.layout.reasons[-1]
    return again, column in columns


def read_rollouts(log: RewardLog, progress: Callable[[int], None] | None = None) -> Rollouts:
    """All groups of two rollouts or more.

    Raises:
        DataFormatError: a malformed row or file, or no group of two.
    """
    try:
        chunks = list(log.chunks(progress=progress))
    except StepReturnsError:
        chunks = list(log.chunks(in_order=False, progress=progress))
    parts = [_groups_of(chunk) for chunk in chunks]
    sizes = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, dtype=np.int64)
    several = sizes > 1
    if not several.any():
        raise DataFormatError(
            f"{log.files.source} holds no prompt with two rollouts or more: there is nothing to choose between. Name "
            "the column that is equal for the rollouts of one prompt with `group`, or their number with `group_size`."
        )
    _check_table(log, sizes[several])
    rewards = np.concatenate([chunk.rows.rewards for chunk in chunks])
    starts = np.cumsum(sizes) - sizes
    places = np.concatenate([chunk.rows.places for chunk in chunks])[starts[several]]
    keys = np.concatenate([part[1] for part in parts])[several]
    table, exists = _padded(rewards, starts[several], sizes[several])
    return Rollouts(
        rewards=torch.from_numpy(table),
        exists=torch.from_numpy(exists),
        prompts=_prompts(log, places, keys),
        lone=int((sizes == 1).sum()),
    )


def _check_table(log: RewardLog, sizes: NDArray[np.int64]) -> None:
    """Raise where the padding of small groups to the largest one would fill the memory."""
    largest = int(sizes.max())
    if len(sizes) * largest > MOST_PLACES:
        raise DataFormatError(
            f"{log.files.source} holds {len(sizes):,} groups, the largest of {largest:,} rollouts, which is too much "
            f"for a replay: groups times the largest may be {MOST_PLACES:,}. Name the column of the groups with "
            "`group` if that is not what they are, or fewer steps with `step_range`."
        )


def _groups_of(chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Size and key of each group of a chunk."""
    sizes = np.diff(np.append(chunk.group_starts, len(chunk.rows)))
    return sizes, chunk.rows.keys[chunk.group_starts]


def _padded(
    rewards: NDArray[np.float32], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(P, C, K) rewards, NaN in the padding, and (P, C) where there is a rollout."""
    exists = np.arange(sizes.max()) < sizes[:, None]
    table = np.full((*exists.shape, rewards.shape[1]), np.nan, dtype=np.float32)
    rows = np.repeat(starts, sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table[exists] = rewards[rows]
    return table, exists


def _prompts(log: RewardLog, places: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the prompts by their text, or by the group's key in a log without prompts, as they first appear."""
    names: list[object] = keys.tolist()
    if log.layout.prompt is not None:
        texts = log.texts(places.tolist())
        # A prompt that is missing is like no other.
        names = [texts.get(place, (None, None))[0] or place for place in places.tolist()]
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
