"""The folder of a comparison.

plan.json       what is compared; the same comparison goes on from it, another is refused
settings.yaml   what all runs share, as `gd2po train --config` takes it
runs/<method>/seed-<seed>/      a run folder of `gd2po train`
runs/<method>/seed-<seed>.log   what that run said
runs/<method>/seed-<seed>.error why it failed, if it did
compare.json, compare.html      the result
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gd2po.comparison.run.plan import PLAN
from gd2po.errors import DiskFullError, RunFolderError
from gd2po.runs.checkpoints import newest_complete
from gd2po.runs.files import FULL, NO_SPACE, naming_the_path
from gd2po.runs.folder import SUMMARY
from gd2po.runs.lock import hold_folder, is_empty
from gd2po.runs.rollout_files import FOLDER, rollout_files

SETTINGS, JSON_NAME, HTML_NAME = "settings.yaml", "compare.json", "compare.html"

_LEAST_FREE = 2**20
"""Bytes; with less, a run that failed has failed because of it."""


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Hold the folder of a comparison, made if need be, against any other process.

    Raises:
        RunFolderError: another comparison is at work in it, or it holds something else.
        OutputWriteError: it cannot be made.
        DiskFullError: no space is left to write to, then or while it is held.
    """
    with naming_a_full_disk(folder):
        with naming_the_path(folder):
            if not (folder / PLAN).exists() and not is_empty(folder):
                raise RunFolderError(f"{folder} is not empty and holds no comparison. Choose another `output_dir`.")
        with hold_folder(folder, "comparison"):
            yield


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Turn an error about a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE or isinstance(error, DiskFullError):
            raise full_disk(folder) from error
        raise


def full_disk(folder: Path) -> DiskFullError:
    """The error of a full disk."""
    return DiskFullError(
        f"{FULL}: no space is left for {folder}. Finished work is safe: free some space, and the same command resumes."
    )


def is_full(folder: Path) -> bool:
    """Whether next to nothing can be written any more."""
    return shutil.disk_usage(folder).free < _LEAST_FREE


def run_folder(folder: Path, method: str, seed: int) -> Path:
    """Where a run is."""
    return folder / "runs" / method / f"seed-{seed}"


def run_log(folder: Path, method: str, seed: int) -> Path:
    """Where what it says is written."""
    return folder / "runs" / method / f"seed-{seed}.log"


def error_file(folder: Path, method: str, seed: int) -> Path:
    """Where a run that failed has its error, in a line; the next try removes it."""
    return folder / "runs" / method / f"seed-{seed}.error"


def is_done(run: Path) -> bool:
    """Whether a run has come to its end: its summary is the last that it writes."""
    return (run / SUMMARY).is_file()


def steps_done(run: Path) -> int:
    """Steps whose rollouts a run has logged."""
    return max((file.last for file in rollout_files(run / FOLDER)), default=0)


def last_checkpoint(run: Path, steps: int) -> Path | None:
    """The latest checkpoint that a killed run left complete.

    Not the one of the last step: a trainer that resumes from it takes a step more.
    """
    return newest_complete(run, before_step=steps)[0]


def remove_checkpoints(run: Path) -> None:
    """Remove what a finished run needs no more, which is most of its size."""
    for path in run.glob("checkpoint-*"):
        shutil.rmtree(path)
