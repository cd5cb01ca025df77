"""From a path, folder or glob to the tables of a log, recognised by their content."""

from __future__ import annotations

import glob
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gd2po.errors import DataFormatError
from gd2po.logs.dialects import has_long_lines, lines_of, log_folders, ways_to_log
from gd2po.logs.roll_up import steps_of_row_groups
from gd2po.logs.tables.arrow_table import FILE_START as ARROW_FILE
from gd2po.logs.tables.arrow_table import STREAM_START as ARROW_STREAM
from gd2po.logs.tables.arrow_table import ArrowTable
from gd2po.logs.tables.csv_table import CsvTable
from gd2po.logs.tables.jsonl_table import JsonlTable, check_jsonl
from gd2po.logs.tables.packed_table import LONGEST_LINE_BYTES, PackedTable, first_object
from gd2po.logs.tables.table import ParquetTable, Table
from gd2po.logs.tables.text import LONGEST_ROW_BYTES
from gd2po.logs.trackers import find_tracked, open_tracked, without_rollouts
from gd2po.runs.rollout_files import holder, parse, settled, without_covered

SUFFIXES = (".parquet", ".arrow", ".jsonl", ".ndjson", ".csv", ".tsv", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".tsv.gz")
"""Endings of the files that a folder is searched for. A file that is given itself may have any name."""

_HUB = re.compile(r"(?P<owner>[\w-][\w.-]*)/(?P<name>[\w.-]+)(?:/(?P<split>\w+))?")
"""The id of a dataset on the Hugging Face hub, with a split behind it or without; not a path that is misspelt."""

_SNIFFED_BYTES = 64 * 1024
_OTHER_FORMATS = {
    b"PK\x03\x04": "a spreadsheet or ZIP archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
}


@dataclass(frozen=True)
class LogFiles:
    """The files of a log."""

    source: str
    """The path as given."""
    paths: list[Path]
    run_folder: Path | None
    """The folder of the run, if the path is one; its report belongs there."""


def find_files(source: str | Path) -> LogFiles:
    """The files that a path, folder or glob stands for, in the order of the numbers in their names.

    Args:
        source: a file, a folder of logs, the output folder of a run, a glob, or the id of a dataset on the hub.

    Raises:
        DataFormatError: there are none, or a folder holds logs of several kinds.
        MissingDependencyError: a dataset of the hub is named, and `datasets` is not installed.
    """
    path = Path(source)
    if path.is_file():
        return LogFiles(str(source), [path], None)
    if path.is_dir():
        return _files_of_folder(path)
    files = without_covered(sorted(settled(lambda: _matches(str(source))), key=_natural))
    tracked = None if files else find_tracked(path)
    if tracked is not None:
        return LogFiles(str(source), [tracked], None)
    if not files and (named := _HUB.fullmatch(str(source))) and not Path(named["owner"]).exists():
        from gd2po.data.sources import hub_rows  # loads the built-in task, which no other log needs

        name = f"{named['owner']}/{named['name']}"
        return LogFiles(str(source), hub_rows(name, named["split"] or "train"), None)
    if not files:
        missing = "no file matches" if glob.has_magic(str(source)) else "there is no"
        raise DataFormatError(f"`source` needs a file, a folder or a quoted glob: {missing} {source}.")
    return LogFiles(str(source), files, None)


def _matches(pattern: str) -> list[Path]:
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
    return [path for path in map(Path, found) if path.is_file()]


def _files_of_folder(folder: Path) -> LogFiles:
    for name in log_folders():
        files = [file for inner in sorted(folder.glob(name), key=_natural) for file in _logs_in(inner)]
        if files:
            return LogFiles(str(folder), _of_one_kind(folder / name, files), folder)
    files = _logs_in(folder)
    tracked = None if files else find_tracked(folder)
    if tracked is not None:
        return LogFiles(str(folder), [tracked], None)
    if not files and (folder / "dataset_dict.json").is_file():
        splits = sorted(path.parent.name for path in folder.glob("*/dataset_info.json"))
        raise DataFormatError(f"{folder} holds a dataset with the splits {', '.join(splits)}. Name one: {folder}/SPLIT")
    if not files:
        reason = without_rollouts(folder)
        if reason is not None:
            raise DataFormatError(f"{reason} Rollouts are logged by {ways_to_log()}.")
        raise DataFormatError(
            f"{folder} holds no reward log: looked for {', '.join(map(_as_shown, log_folders()))} and for files "
            f"ending in .parquet, .jsonl, .csv or .tsv. Rollouts are logged by {ways_to_log()}."
        )
    return LogFiles(str(folder), _of_one_kind(folder, files), None)


def _of_one_kind(folder: Path, files: list[Path]) -> list[Path]:
    kinds = {_suffix(file) for file in files}
    if len(kinds) > 1:
        raise DataFormatError(
            f"{folder} holds logs of several kinds ({', '.join(sorted(kinds))}). Choose one with a glob: "
            f"'{folder}/*{sorted(kinds)[0]}'."
        )
    return files


def _logs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return [folder] if folder.is_file() else []
    files = settled(lambda: [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")])
    return without_covered(sorted((path for path in files if _suffix(path)), key=_natural))


def _as_shown(place: str) -> str:
    """A place of logs inside a run's folder: folders end in a slash."""
    return place if place.endswith(SUFFIXES) else f"{place}/"


def _suffix(path: Path) -> str:
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key under which step 9 comes before step 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def open_table(path: Path) -> Table:
    """The table in a file, whatever its name; where it has been rolled up since it was listed, its rows of that file.

    Raises:
        DataFormatError: the file is gone, empty, cut off or of no known kind.
    """
    if not path.is_file():
        tracked = open_tracked(path)
        if tracked is not None:
            return tracked
    try:
        return _open(path)
    except FileNotFoundError as error:
        return _rolled_up_rows(path, error)


def _rolled_up_rows(gone: Path, error: FileNotFoundError) -> Table:
    """The rows of a file of a rollout log in the one that it was rolled up into, where a batch is a row group."""
    file = parse(gone)
    if file is None:
        raise DataFormatError(f"{gone} cannot be read: {error.strerror or error}.") from error
    while (path := holder(file)) is not None:
        with suppress(FileNotFoundError):
            batches = [index for index, step in enumerate(steps_of_row_groups(path)) if file.first <= step <= file.last]
            return ParquetTable(path, batches if file.rolled_up else batches[file.batch - 1 : file.batch])
    raise DataFormatError(
        f"{gone} was removed while the log was read, as a run does that resumes from an earlier step. Read it again."
    ) from error


def _open(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not magic:
        raise DataFormatError(f"{path} is empty: it holds no rollouts.")
    if magic.startswith(b"PAR1"):
        return ParquetTable(path)
    if magic.startswith((ARROW_FILE, ARROW_STREAM)):
        return ArrowTable(path)
    for other, advice in _OTHER_FORMATS.items():
        if magic.startswith(other):
            raise DataFormatError(f"{path} is {advice}.")
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            start = stream.read(_SNIFFED_BYTES)
    except OSError as error:
        raise DataFormatError(f"{path} cannot be decompressed: {error}.") from error
    tracked = open_tracked(path, start)
    if tracked is not None:
        return tracked
    reason = without_rollouts(path)
    if reason is not None:
        raise DataFormatError(f"{reason} Rollouts are logged by {ways_to_log()}.")
    if _is_binary(start):
        raise DataFormatError(f"{path} is neither Parquet nor text: a reward log is Parquet, JSONL or CSV.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        check_jsonl(path, start)
        longest = LONGEST_LINE_BYTES if has_long_lines(start) else LONGEST_ROW_BYTES
        lines = lines_of(first_object(path, longest))
        return JsonlTable(path) if lines is None else PackedTable(path, lines.rollouts, lines.once_per, longest)
    if not text:
        raise DataFormatError(f"{path} is empty: it holds no rollouts.")
    return CsvTable(path)


def _is_binary(start: bytes) -> bool:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, half of whose bytes are zero
        return False
    return b"\x00" in start
