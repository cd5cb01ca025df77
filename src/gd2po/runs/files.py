"""Files that are written whole: a reader finds the old one or all of the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in one go; folders are made as needed. Lone surrogates, as JSON can hold, are kept."""
    return write_with(path, lambda draft: draft.write_bytes(text.encode("utf-8", errors="surrogatepass")))


def write_with(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write a file in one go by a function that writes to the path it is given.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
