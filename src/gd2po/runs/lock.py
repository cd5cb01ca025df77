"""A folder held by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from gd2po.errors import RunFolderError
from gd2po.runs.files import naming_the_path

LOCK: Final = ".lock"


@contextmanager
def hold_folder(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, made if need be, against any other process; the system lets go of it when this one is killed.

    Args:
        folder: to hold.
        what: what works in it, for messages: `run`.

    Raises:
        RunFolderError: another process holds it.
        OutputWriteError: it cannot be made or written to.
    """
    if os.environ.get("RANK", "0") != "0":  # of several processes of one run the first holds it for all
        yield
        return
    with naming_the_path(folder):
        if folder.exists() and not folder.is_dir():
            raise RunFolderError(f"`output_dir` must be a folder: {folder} is a file.")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / LOCK).acquire(timeout=0)
        except Timeout as error:
            raise RunFolderError(
                f"Another {what} is at work in {folder}. Wait for it to end, or choose another `output_dir`."
            ) from error
    with lock:
        yield


def is_held(folder: Path) -> bool:
    """Whether some process holds a folder at the moment; not known, and so False, where its lock may not be opened."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def is_empty(folder: Path) -> bool:
    """Whether a folder does not exist or holds nothing but its lock."""
    return not folder.is_dir() or all(path.name == LOCK for path in folder.iterdir())
