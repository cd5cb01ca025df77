"""How a run was made, carried by the files of its log: JSON in the metadata of the Parquet schema.

What the settings hold is the caller's business. A file may come from anywhere, so settings that cannot be read are
ignored with a note and never stop the reading of the rollouts.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gd2po.errors import InvalidInputError
from gd2po.logs.tables.table import ARROW_DAMAGE
from gd2po.report.wording import counted, join
from gd2po.runs.rollout_files import holder, parse

KEY = b"gd2po.run"
"""Key of the settings in the metadata of a Parquet schema."""

MOST_BYTES = 1 << 20
"""Settings that take more bytes as JSON are neither written nor read."""

StepRange = tuple[int | None, int | None]
"""First and last step, both included; None for an open end."""


def to_json(settings: Mapping[str, Any]) -> bytes:
    """The settings as a JSON object in UTF-8.

    Args:
        settings: text, finite numbers, booleans, None, and lists and mappings of them. Tuples become lists and keys
            become text, as JSON has it.

    Raises:
        InvalidInputError: something else, or more than `MOST_BYTES`.

    Example:
        >>> to_json({"method": "gdpo", "reward_weights": (1.0, 0.5)})
        b'{"method": "gdpo", "reward_weights": [1.0, 0.5]}'
    """
    try:
        text = json.dumps(dict(settings), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            "`run_settings` needs a mapping of text, finite numbers, booleans, None, and lists and mappings of them: "
            f"got a {type(settings).__name__} that JSON cannot hold ({error})."
        ) from error
    if len(text) > MOST_BYTES:
        raise InvalidInputError(
            f"`run_settings` needs at most {MOST_BYTES:,} bytes of JSON: got {len(text):,}. Leave out what does not "
            "describe the run."
        )
    return text


def from_json(text: bytes) -> dict[str, Any]:
    """The settings in a file's metadata.

    Raises:
        ValueError: anything but a JSON object of finite numbers and valid text within `MOST_BYTES`.

    Example:
        >>> from_json(b'{"method": "gdpo"}')
        {'method': 'gdpo'}
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"{len(text):,} bytes are more than the {MOST_BYTES:,} that settings may take")
    try:
        settings = json.loads(text)
        # Python reads NaN, 1e999 and lone surrogates, which the JSON and the pages of a report could not hold.
        json.dumps(settings, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON ({error})") from error
    if not isinstance(settings, dict):
        raise ValueError(f"expected a JSON object, got {type(settings).__name__}")
    return settings


@dataclass(frozen=True)
class FoundSettings:
    """The settings of the run that wrote a log."""

    settings: dict[str, Any] | None
    """Those of the newest step; None where no file holds any."""
    notes: list[str] = field(default_factory=list)
    """What was ignored, and at which steps the settings changed, in sentences."""


def find_run_settings(
    paths: Sequence[Path], step_column: str | None, step_range: StepRange = (None, None)
) -> FoundSettings:
    """The run settings in the files of a log. Only the footers of Parquet files are read.

    Args:
        paths: the files, in order.
        step_column: the column of the training step, whose statistics tell which file is the newest; without
            statistics the last file is.
        step_range: only files with steps inside count, as far as statistics tell.

    Example:
        >>> find_run_settings([Path("log.csv")], "step").settings is None
        True
    """
    found, problems, without = [], [], 0
    for path in paths:
        footer = _footer(path)
        if footer is None:
            continue
        steps = _steps(footer, step_column)
        if steps is not None and not _overlap(steps, step_range):
            continue
        text = (footer.metadata or {}).get(KEY)
        if text is None:
            without += 1
            continue
        try:
            found.append(_FileSettings(path, steps, from_json(text)))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    notes = []
    if problems:
        more = f"; {len(problems) - 1:,} more" if len(problems) > 1 else ""
        notes.append(f"Run settings that cannot be read are ignored ({problems[0]}{more}).")
    if not found:
        return FoundSettings(None, notes)
    if without:
        notes.append(f"{counted(without, 'file does', 'files do')} not say how the run was made.")
    if all(file.steps is not None for file in found):
        found.sort(key=lambda file: (file.steps or (0, 0))[::-1])  # by the last step
    changed = [new.beginning for old, new in itertools.pairwise(found) if new.settings != old.settings]
    if changed:
        notes.append(f"The settings of the run changed at {join(changed)}; those of the newest step count.")
    return FoundSettings(found[-1].settings, notes)


@dataclass(frozen=True)
class _FileSettings:
    """The settings in one file, and its first and last step where they are known."""

    path: Path
    steps: tuple[int, int] | None
    settings: dict[str, Any]

    @property
    def beginning(self) -> str:
        """Where the file begins, for people."""
        return self.path.name if self.steps is None else f"step {self.steps[0]}"


def _footer(path: Path) -> Any:
    """The metadata of a Parquet file; None for anything else, which the reading of its rows reports."""
    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        file = parse(path)
        rolled_up = None if file is None else holder(file)
        return None if rolled_up is None else _footer(rolled_up)
    except ARROW_DAMAGE:
        return None


def _steps(footer: Any, column: str | None) -> tuple[int, int] | None:
    """First and last step by the statistics of a file; None where they do not tell."""
    bounds: list[int] = []
    try:
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            chunks = (group.column(position) for position in range(group.num_columns))
            statistics = next((chunk.statistics for chunk in chunks if chunk.path_in_schema == column), None)
            if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int):
                return None
            bounds += [statistics.min, statistics.max]
    except ARROW_DAMAGE:
        return None
    return (min(bounds), max(bounds)) if bounds else None


def _overlap(steps: tuple[int, int], step_range: StepRange) -> bool:
    first, last = step_range
    return (first is None or steps[1] >= first) and (last is None or steps[0] <= last)
