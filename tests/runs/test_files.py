from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gd2po.errors import DiskFullError, OutputWriteError
from gd2po.runs.files import naming_the_path, write_text, write_with


def test_a_file_is_written_whole_in_a_folder_made_for_it(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a" / "report.html", "\ud800 page")
    assert path.read_bytes() == b"\xed\xa0\x80 page"
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_text(tmp_path / "report.html", "old")

    def fill(draft: Path) -> None:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFullError, match=r"The disk is full: no space is left to write .*report.html. Make room"):
        write_with(path, fill)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_path_that_cannot_be_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputWriteError, match=f"{tmp_path} cannot be written: it is a folder: name a file"):
        write_text(tmp_path, "page")
    (tmp_path / "file").touch()
    with pytest.raises(OutputWriteError, match="a file or a broken link stands where a folder has to be"):
        write_text(tmp_path / "file" / "report.html", "page")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputWriteError, match="a file or a broken link stands where a folder has to be"):
        write_text(tmp_path / "loop" / "report.html", "page")


def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputWriteError, match="it lies on a disk that is mounted read-only. Choose another place"),
        naming_the_path(tmp_path),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
