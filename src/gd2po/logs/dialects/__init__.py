"""The writers whose logs are recognised: one file and one line each. docs/reward-logs.md shows how to add one."""

from __future__ import annotations

from collections.abc import Iterable

from gd2po.logs.dialects import gd2po, plain, trl, verl
from gd2po.logs.dialects.base import Dialect

DIALECTS: tuple[Dialect, ...] = (
    gd2po.DIALECT,
    trl.DIALECT,
    verl.DIALECT,
    plain.DIALECT,  # last: it recognises every table
)
"""The first that recognises a table's columns reads it."""


def recognise(columns: Iterable[str]) -> Dialect:
    """The dialect of a table with these columns.

    Example:
        >>> recognise(["step", "input", "output", "score", "uid"]).name, recognise(["group", "correct"]).name
        ('verl', 'plain')
    """
    names = set(columns)
    return next(dialect for dialect in DIALECTS if dialect.recognises(names))


def log_folders() -> tuple[str, ...]:
    """Subfolders of a run's output folder in which some writer keeps its rollouts, first the first dialect's.

    Example:
        >>> log_folders()
        ('rollouts', 'completions')
    """
    return tuple(dict.fromkeys(folder for dialect in DIALECTS for folder in dialect.folders))


def tracked_keys() -> tuple[str, ...]:
    """Keys under which writers log their rollouts to a tracker, such as W&B or trackio.

    Example:
        >>> tracked_keys()
        ('completions',)
    """
    return tuple(dict.fromkeys(dialect.tracked_as for dialect in DIALECTS if dialect.tracked_as))


def ways_to_log() -> str:
    """How to make each writer log its rollouts, in the middle of a sentence.

    Example:
        >>> ways_to_log().endswith("TRL with log_completions=True, verl with trainer.rollout_data_dir=FOLDER")
        True
    """
    return ", ".join(dialect.how_to_log for dialect in DIALECTS if dialect.how_to_log)
