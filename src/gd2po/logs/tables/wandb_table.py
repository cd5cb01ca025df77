"""Tables of Weights & Biases as they lie in the folder of a run, offline or synced: one JSON file per logged table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gd2po.errors import DataFormatError
from gd2po.logs.tables.json_values import loads
from gd2po.logs.tables.tracked import Logged, TrackedTable, check_size

FOLDERS = ("files/media/table", "media/table", ".")
"""Where the tables lie, seen from the folder of a run, from its `files`, and from their own."""

START = re.compile(rb'\s*\{\s*"columns"\s*:\s*\[[^\]]*\]\s*,\s*"data"\s*:')
"""How the file of a table begins."""

_NAME = re.compile(r"(?P<key>.+)_(?P<step>\d+)_[0-9a-f]+\.table\.json")


class WandbTable(TrackedTable):
    """The tables that a run logged under one key.

    Args:
        path: their folder with the key, e.g. `.../files/media/table/completions`, or one file.
        files: of the tables, in order.
    """

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self._files = files
        super().__init__(path)

    def tables(self) -> Iterator[Logged]:
        """One per file."""
        for file in self._files:
            try:
                check_size(file.stat().st_size, str(file))
                text = file.read_bytes()
                value = loads(text)
            except (OSError, ValueError) as error:
                raise DataFormatError(f"{file} is not a complete table of W&B ({error}).") from error
            try:
                names = [str(name) for name in value["columns"]]
                rows = [dict(zip(names, row, strict=True)) for row in value["data"]]
            except (KeyError, TypeError, ValueError) as error:
                raise DataFormatError(
                    f"{file} is no table of W&B: it needs `columns`, and `data` with a cell per column in each row."
                ) from error
            yield Logged(str(file), rows, len(text))


def wandb_table(path: Path, preferred: Iterable[str]) -> WandbTable | None:
    """The tables of a run; None where the path holds none.

    Args:
        path: the folder of the run, that of its tables, or the latter with the key of a table behind it.
        preferred: keys that are taken where a run logged several.

    Raises:
        DataFormatError: several keys, of which none is preferred.
    """
    folder, named = (path, None) if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        return None
    where = next((folder / inner for inner in FOLDERS if _by_key(folder / inner)), folder)
    found = _by_key(where)
    if not found or (named is not None and named not in found):
        return None
    keys = [named] if named is not None else [key for key in found if key in set(preferred)] or list(found)
    if len(keys) > 1:
        raise DataFormatError(
            f"{path} holds several tables: {', '.join(keys)}. Name the one of the rollouts: {where / keys[0]}"
        )
    return WandbTable(where / keys[0], found[keys[0]])


def _by_key(folder: Path) -> dict[str, list[Path]]:
    """The tables in a folder by their key, each in the order of logging."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for file in sorted(folder.glob("*.table.json")):
        match = _NAME.fullmatch(file.name)
        if match is not None:
            found.setdefault(match["key"], []).append((int(match["step"]), file))
    return {key: [file for _, file in sorted(files)] for key, files in found.items()}
