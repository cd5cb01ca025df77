"""`gd2po init`: a commented run and its rewards to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gd2po.errors import RunFolderError

FILES: Final = ("run.yaml", "my_rewards.py")


def write_start(folder: str | Path) -> list[Path]:
    """Write the files of a first run of one's own.

    Args:
        folder: where to; made if need be.

    Raises:
        RunFolderError: one of them is there already; none is written then.
        OSError: they cannot be written.
    """
    folder = Path(folder)
    paths = [folder / name for name in FILES]
    there = [path for path in paths if path.exists()]
    if there:
        raise RunFolderError(f"{there[0]} is there already, and is left as it is. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.write_text((Path(__file__).parent / path.name).read_text(encoding="utf-8"), encoding="utf-8")
    return paths
