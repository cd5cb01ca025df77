"""Logs in the local stores of trackers: W&B's run folders and trackio's projects; TensorBoard has none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gd2po.errors import DataFormatError
from gd2po.logs.dialects import recognise, tracked_keys
from gd2po.logs.tables.tracked import TrackedTable
from gd2po.logs.tables.trackio_table import TrackioTable, is_database
from gd2po.logs.tables.wandb_table import START as WANDB_START
from gd2po.logs.tables.wandb_table import WandbTable, wandb_table

_WANDB_RUNS = ("*run-*", "wandb/*run-*")
"""Folders of runs in the folder `wandb`, and in the one that holds it; not the link `latest-run`."""

_TENSORBOARD = "*tfevents*"
_DEPTHS = ("", "*/", "runs/*/")


def find_tracked(path: Path) -> Path | None:
    """The run or project that a path stands for, for `open_tracked`; None where it is neither.

    Args:
        path: of a W&B run, its folder `wandb`, a database of trackio, its folder, or a database with a run behind it.

    Raises:
        DataFormatError: it holds several.
    """
    if not path.is_dir():
        return path if _database_of(path) is not None or wandb_table(path, ()) is not None else None
    if wandb_table(path, tracked_keys()) is not None:
        return path
    runs = sorted(run for pattern in _WANDB_RUNS for run in path.glob(pattern))
    runs = [run for run in runs if wandb_table(run, tracked_keys()) is not None]
    databases = [file for file in sorted(path.glob("*.db")) if is_database(file)]
    return _only(path, "runs of W&B with rollouts", runs) or _only(path, "projects of trackio", databases)


def open_tracked(path: Path, start: bytes = b"") -> TrackedTable | None:
    """The table of a run; None where the path is no run of a tracker.

    Args:
        path: as `find_tracked` returns it, or one table of W&B.
        start: the first bytes, if it is a file.

    Raises:
        DataFormatError: it holds no rollouts or those of several runs, or cannot be read.
    """
    database = _database_of(path)
    table: TrackedTable | None
    if database is not None:
        run = None if database == path else str(path.relative_to(database))
        table = TrackioTable(database, run, tracked_keys())
    elif path.suffix == ".wandb":  # the run's journal, beside its files
        table = wandb_table(path.parent, tracked_keys())
    elif path.is_file():
        table = WandbTable(path, [path]) if WANDB_START.match(start) else None
    else:
        table = wandb_table(path, tracked_keys())
    if table is not None:
        dialect = recognise(table.names)
        table.one_table_per = dialect.step if dialect.repeats_batches else None
    return table


def without_rollouts(path: Path) -> str | None:
    """Why what a tracker left holds no rollouts, in a sentence; None where no tracker left anything.

    Args:
        path: a folder or a file.
    """
    if path.is_file():
        event_file, run_file = "tfevents" in path.name, path.suffix == ".wandb"
    else:
        event_file = any(True for depth in _DEPTHS for _ in path.glob(depth + _TENSORBOARD))
        journals = ("*.wandb", *(f"{runs}/*.wandb" for runs in _WANDB_RUNS))
        run_file = any(True for pattern in journals for _ in path.glob(pattern))
    if event_file:
        return (
            f"{path} holds event files of TensorBoard, in which trainers log means over a step, never the rewards of "
            "single rollouts."
        )
    if run_file:
        return (
            f"{path} holds what a run logged to W&B, without a table of rollouts in files/media/table: means over a "
            "step."
        )
    return None


def _database_of(path: Path) -> Path | None:
    """The database that a path is, or that it names a run in."""
    file = next((place for place in (path, *path.parents) if place.is_file()), None)
    return file if file is not None and is_database(file) else None


def _only(folder: Path, what: str, found: Iterable[Path]) -> Path | None:
    paths = list(found)
    if len(paths) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in paths)
        raise DataFormatError(f"{folder} holds {len(paths)} {what}: {names}. Name one: {paths[-1]}")
    return paths[0] if paths else None
