"""The writers whose logs are recognised: one file and one line each. docs/reward-logs.md shows how to add one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gd2po.logs.dialects import gd2po, plain, swift, trl, verifiers, verifiers_results, verl
from gd2po.logs.dialects.base import Dialect, Lines

DIALECTS: tuple[Dialect, ...] = (
    gd2po.DIALECT,
    trl.DIALECT,
    verl.DIALECT,
    swift.DIALECT,
    verifiers.DIALECT,
    verifiers_results.DIALECT,
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


def lines_of(first: Mapping[str, Any]) -> Lines | None:
    """How the lines of a file become rows, by its first object; None where each is a row.

    Example:
        >>> lines_of({"step": 1, "input": "2 + 2?", "output": "4", "score": 1.0}) is None
        True
    """
    return next((dialect.lines for dialect in DIALECTS if dialect.lines and dialect.lines.recognises(first)), None)


def has_long_lines(start: bytes) -> bool:
    """Whether a file that begins so has lines of many rollouts.

    Example:
        >>> has_long_lines(b'{"step": ["1", "1"], "prompt": ["1 + 1?"'), has_long_lines(b'{"step": 1, "prompt": ')
        (True, False)
    """
    patterns = [dialect.lines.begins for dialect in DIALECTS if dialect.lines is not None]
    return any(pattern is not None and pattern.match(start) for pattern in patterns)


def log_folders() -> tuple[str, ...]:
    """Subfolders or files of a run's output folder in which some writer keeps its rollouts, first the first dialect's.

    Example:
        >>> log_folders()
        ('rollouts', 'completions', 'completions.jsonl', 'rollouts/step_*/train/effective', 'step_*/train/effective')
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
        >>> "TRL with log_completions=True, verl with trainer.rollout_data_dir=FOLDER" in ways_to_log()
        True
    """
    return ", ".join(dialect.how_to_log for dialect in DIALECTS if dialect.how_to_log)
