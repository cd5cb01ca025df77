"""The files of a rollout log, and which steps they hold by their names.

A batch is written as `step_000007.parquet`, a second one of its step as `step_000007_2.parquet`. Once a block of steps
is complete, it is rolled up: `step_000001-000200.parquet` is written, with a row group per batch, and then the files
that went into it are removed. A kill in between leaves both. The one that spans more steps counts, and what it covers
does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = "rollouts"
"""Subfolder of the run's folder."""

_NAME: Final = re.compile(r"step_(\d{6,18})(?:_(\d{1,6})|-(\d{6,18}))?\.parquet")


@dataclass(frozen=True)
class RolloutFile:
    """A file of a rollout log."""

    path: Path
    first: int
    """Its first step."""
    last: int
    """Its last step."""
    batch: int
    """Which batch of its step it holds, from 1; 0 where it is rolled up."""

    @property
    def rolled_up(self) -> bool:
        """It holds the batches of a block of steps."""
        return self.batch == 0

    @property
    def order(self) -> tuple[int, int, int]:
        """Sort key: by steps and batches, and what covers others before them."""
        return self.first, -self.last, self.batch


def file_name(first: int, last: int | None = None, batch: int = 1) -> str:
    """The name of a batch's file, or of one that steps are rolled up into.

    Example:
        >>> file_name(7), file_name(7, batch=2), file_name(1, 200)
        ('step_000007.parquet', 'step_000007_2.parquet', 'step_000001-000200.parquet')
    """
    end = f"-{last:06d}" if last is not None else f"_{batch}" if batch > 1 else ""
    return f"step_{first:06d}{end}.parquet"


def parse(path: Path) -> RolloutFile | None:
    """What the name of a file says; None for one that is none of a rollout log.

    Example:
        >>> file = parse(Path("step_000001-000200.parquet"))
        >>> file.first, file.last, file.rolled_up
        (1, 200, True)
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    first = int(match[1])
    return RolloutFile(path, first, int(match[3] or first), 0 if match[3] else int(match[2] or 1))


def rollout_files(folder: Path) -> list[RolloutFile]:
    """The files that make up the log in a folder, in the order of their steps; none where there is no folder."""
    if not folder.is_dir():
        return []
    return uncovered(parsed(settled(lambda: list(folder.iterdir()))))


def parsed(paths: Iterable[Path]) -> list[RolloutFile]:
    """The files of a rollout log among others, in the order of their steps."""
    return sorted((file for path in paths if (file := parse(path)) is not None), key=lambda file: file.order)


def uncovered(files: Sequence[RolloutFile]) -> list[RolloutFile]:
    """Without the files whose steps another one holds. They come from one folder, in the order of their steps."""
    kept, reach = [], -1
    for file in files:
        if file.last > reach:
            kept.append(file)
            if file.rolled_up:
                reach = file.last
    return kept


def without_covered(paths: Sequence[Path]) -> list[Path]:
    """Files of any kind and folder, in their order, without those of a rollout log that another one covers."""
    by_folder: dict[Path, list[RolloutFile]] = {}
    for file in parsed(paths):
        by_folder.setdefault(file.path.parent, []).append(file)
    counted = {file.path for files in by_folder.values() for file in uncovered(files)}
    return [path for path in paths if path in counted or parse(path) is None]


def settled(list_files: Callable[[], list[Path]]) -> list[Path]:
    """A list of files from which none is missing because the log was rolled up meanwhile.

    Rolling up makes the new file before it removes others. If a listing lacks them and the new file too, the next one
    has a rolled-up file more.
    """
    found = list_files()
    while True:
        again = list_files()
        new = set(again) - set(found)
        if not any(file.rolled_up for file in parsed(new)):
            return found
        found = again


def holder(gone: RolloutFile) -> Path | None:
    """The file that a file which is gone was rolled up into; None where there is none."""
    folder = gone.path.parent
    if not folder.is_dir():
        return None
    for file in parsed(folder.iterdir()):
        if file.rolled_up and file.first <= gone.first and gone.last <= file.last and file.path != gone.path:
            return file.path
    return None
