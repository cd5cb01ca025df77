"""Files that are written whole, and what the system's errors about writing mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gd2po.errors import DiskFullError, GD2POError, OutputWriteError

FULL: Final = "The disk is full"
"""How every message about it begins; a comparison looks for it in what its runs say."""

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and a full quota."""

_ADVICE: Final = {
    errno.EEXIST: "a file or a broken link stands where a folder has to be",
    errno.ENOTDIR: "a file stands where a folder has to be",
    errno.EISDIR: "it is a folder: name a file",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.EROFS: "it lies on a disk that is mounted read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENAMETOOLONG: "its name is too long",
}


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in one go; folders are made as needed. Lone surrogates, as JSON can hold, are kept."""
    return write_with(path, lambda draft: draft.write_bytes(text.encode("utf-8", errors="surrogatepass")))


def write_with(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write a file in one go by a function that writes to the path it is given: a reader finds the old one or the new.

    Raises:
        DiskFullError: no space is left; nothing is left behind.
        OutputWriteError: it cannot be written; nothing is left behind.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with naming_the_path(path):
        require_place(path)
        try:
            write(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return path


def require_places(paths: Iterable[str | Path | None], read: Collection[Path]) -> None:
    """Make the folders of files that a command is to write, and raise where one cannot be or must not be.

    Args:
        paths: of the files; None for one that is not written.
        read: the files that the command reads.

    Raises:
        OutputWriteError: as `require_place`, or the file would take the place of one that is read or of another.
    """
    kept = {path.resolve() for path in read}
    for path in paths:
        if path is None:
            continue
        require_place(path)
        if Path(path).resolve() in kept:
            raise OutputWriteError(f"{path} is a file of the log, or written twice. Choose another place.")
        kept.add(Path(path).resolve())


def require_place(path: str | Path) -> None:
    """Make the folder of a file, and raise where no file can be.

    Raises:
        OutputWriteError: it is a folder, or its folder cannot be made.
    """
    path = Path(path)
    with naming_the_path(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def naming_the_path(path: Path) -> Iterator[None]:
    """Turn the system's error about writing to a path into one that says what to do.

    Raises:
        DiskFullError: no space is left.
        OutputWriteError: any other.
    """
    try:
        yield
    except GD2POError:
        raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFullError(f"{FULL}: no space is left to write {path}. Make room and try again.") from error
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> OutputWriteError:
    reason = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return OutputWriteError(f"{path} cannot be written: {reason}. Choose another place.")
