"""What a dialect is: everything that the readers know of one writer's logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

GroupRule = Literal["column", "runs", "blocks"]
"""Equal values in a step, consecutive rows with equal values, or blocks of consecutive rows."""


@dataclass(frozen=True)
class Groups:
    """Which rollouts of a step answer the same prompt, and why.

    Args:
        rule: "column": those with the same value in `column`. "runs": consecutive rows with the same value in it, cut
            where a run is several times the common length. "blocks": every `size` consecutive rows.
        column: the column of the rules "column" and "runs".
        size: rollouts per group. The rule "runs" finds it out where it is None.
        id_suffix: a regular expression; what it matches at the end of a value is not part of the group's name.
        reason: a sentence for people; empty where it can be said only once the rows have been read.
    """

    rule: GroupRule
    column: str | None = None
    size: int | None = None
    id_suffix: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Rewards:
    """The columns of the K rewards, in order, and why they were taken (a sentence for people)."""

    columns: list[str]
    reason: str


@dataclass(frozen=True)
class Lines:
    """JSONL whose lines are not one rollout each.

    Args:
        recognises: True for the first object of such a file.
        rollouts: the rollouts of a line, as rows, by the line and its file. A line of another form makes it raise an
            AttributeError, KeyError, TypeError or ValueError.
        once_per: a column: only the first line with a value of it counts. None takes all lines.
        begins: how files begin whose lines hold so many rollouts that they may be longer than one rollout may.
    """

    recognises: Callable[[Mapping[str, Any]], bool]
    rollouts: Callable[[Mapping[str, Any], Path], Sequence[Mapping[str, Any]]]
    once_per: str | None = None
    begins: re.Pattern[bytes] | None = None


@dataclass(frozen=True)
class Dialect:
    """One writer's logs: how to recognise them and what need not be guessed.

    A dialect says only what it knows. Whatever it leaves out is guessed from names and values, as in a plain table,
    and columns that the user names always win.

    Args:
        name: one word, e.g. "trl".
        title: what a report calls such a log, e.g. "TRL's completions table".
        recognises: True for the set of columns of such a table.
        step: the column of the training step. This column and the next four need not be there in every log.
        group: the column that is equal for the rollouts of one group in a step.
        prompt: the column of the prompt.
        completion: the column of the completion.
        length: the column of the completion's tokens.
        not_rewards: columns of numbers that are never rewards.
        find_groups: the groups by the first rows and the prompt's column; None where they tell nothing.
        find_rewards: the rewards by the first rows, the prompt's column and the columns that may be rewards; None where
            they tell nothing.
        lines: how lines that are no rows become rows, of which `recognises` then sees the columns.
        folders: subfolders of a run's output folder in which such logs lie, or files in it; patterns as `step_*` stand
            for several.
        tracked_as: key under which the writer logs such tables to a tracker.
        how_to_log: who writes such a log and when, to end the sentence "Rollouts are logged by ...".
        whole_groups_per_file: no group spans two files, so equal ids in two files are two groups.
        repeats_batches: a step may hold the very rollouts of the step before; they count once.
        scatters_groups: a group's rows need not be consecutive, so a group size says nothing.

    Example:
        >>> ours = Dialect(
        ...     name="ours",
        ...     title="our trainer's episodes",
        ...     recognises=lambda columns: {"episode", "task_hash"} <= columns,
        ...     step="episode",
        ...     group="task_hash",
        ... )
        >>> ours.recognises({"episode", "task_hash", "correct", "brief"})
        True
    """

    name: str
    title: str
    recognises: Callable[[set[str]], bool]
    step: str | None = None
    group: str | None = None
    prompt: str | None = None
    completion: str | None = None
    length: str | None = None
    not_rewards: frozenset[str] = frozenset()
    find_groups: Callable[[pa.Table, str | None], Groups | None] | None = None
    find_rewards: Callable[[pa.Table, str | None, Sequence[str]], Rewards | None] | None = None
    lines: Lines | None = None
    folders: tuple[str, ...] = ()
    tracked_as: str = ""
    how_to_log: str = ""
    whole_groups_per_file: bool = False
    repeats_batches: bool = False
    scatters_groups: bool = False
