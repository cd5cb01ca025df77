"""Rows of a JSONL file: one object per line.

Arrow parses block by block. A block that it cannot parse, or in which a value is absent, is read again line by line, so
that an error names the line.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

from gd2po.errors import DataFormatError
from gd2po.logs.cells import plain
from gd2po.logs.tables.json_values import loads, may_nest_deeply
from gd2po.logs.tables.records import as_array
from gd2po.logs.tables.table import HEAD_BYTES, HEAD_ROWS, BadRows, check_names
from gd2po.logs.tables.text import LONGEST_ROW_BYTES, read_bytes

BLOCK_BYTES = 16 * 1024 * 1024
"""Bytes that are parsed at a time, cut at the end of a line."""

_LINE_END = b"\n"
_BOM = b"\xef\xbb\xbf"
_MAYBE_OTHER_ROOT = re.compile(rb"(?m)^[ \t\r]*[^\s{]|\}[ \t\r]*[^\s{,}\]]")

_ARROW_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


class JsonlTable:
    """Rows of a JSONL file."""

    decimal_comma = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._bad_lines: list[int] = []
        self._head = self._read_head()
        # dict.fromkeys keeps the order of first appearance.
        self.names = list(dict.fromkeys(key for row in self._head for key in row))
        check_names(path, self.names)
        self._types: dict[str, pa.DataType] = {}
        self._mixed: set[str] = set()
        for name in self.names:
            self._guess_type(name)

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows."""
        arrays = [as_array([row.get(name) for row in self._head]) for name in self.names]
        return pa.Table.from_arrays(arrays, names=self.names)

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch."""
        first_row = 0
        self._bad_lines = []
        for first_line, block in line_blocks(self.path):
            batch = self._parse_fast(block, columns, [name for name in columns if name in bad_rows.labels])
            if batch is None:
                batch = self._parse_slow(block, first_line, columns, bad_rows)
            if batch.num_rows:
                yield first_row, batch
                first_row += batch.num_rows

    def place(self, row: int) -> str:
        """`log.jsonl line 17`."""
        bad, count = set(self._bad_lines), 0
        for first_line, block in line_blocks(self.path):
            for line_number, line in enumerate(block.split(b"\n"), first_line):
                if line.strip() and line_number not in bad:
                    if count == row:
                        return f"{self.path} line {line_number}"
                    count += 1
        return f"{self.path} row {row + 1}"

    def _read_head(self) -> list[dict[str, Any]]:
        """The first objects. `batches` complains about lines that hold none."""
        rows: list[dict[str, Any]] = []
        size = 0
        lines = (line for _, block in line_blocks(self.path) for line in block.split(b"\n") if line.strip())
        for line in itertools.islice(lines, HEAD_ROWS):
            size += len(line)
            if size > HEAD_BYTES and rows:
                break
            try:
                row = loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows

    def _guess_type(self, name: str) -> None:
        """Note the Arrow type of a column by its head, or that values of several types need the slow parser."""
        types = {type(row[name]) for row in self._head if row.get(name) is not None}
        if types == {int, float}:
            self._types[name] = pa.float64()
        elif len(types) > 1:
            self._mixed.add(name)
        elif types and (kind := types.pop()) in _ARROW_TYPES:
            self._types[name] = _ARROW_TYPES[kind]

    def _parse_fast(self, block: bytes, columns: Sequence[str], required: Sequence[str]) -> pa.RecordBatch | None:
        """The columns as Arrow reads them; None if it cannot, or if a required value is absent rather than null."""
        if any(name in self._mixed for name in columns) or not _holds_objects_only(block):
            return None
        if any(name not in self._types for name in columns) and may_nest_deeply(block):
            return None  # Arrow finds structure by recursion, without end
        batch = self._arrow_parse(block, columns)
        if batch is None and any(self._types.get(name) == pa.int64() for name in columns):
            # Whole numbers at first, fractions from here on.
            self._types |= {name: pa.float64() for name in columns if self._types.get(name) == pa.int64()}
            batch = self._arrow_parse(block, columns)
        if batch is None:
            return None
        for name in required:
            # A key cannot hide in a string, whose quotes are escaped, so fewer keys than rows means an absent one.
            if batch.column(name).null_count and block.count(json.dumps(name).encode()) < batch.num_rows:
                return None
        return batch

    def _arrow_parse(self, block: bytes, columns: Sequence[str]) -> pa.RecordBatch | None:
        typed = {name: self._types[name] for name in columns if name in self._types}
        schema = pa.schema(list(typed.items()))
        others = "ignore" if len(typed) == len(columns) else "infer"  # messages: Arrow finds their structure itself
        try:
            table = pj.read_json(
                pa.BufferReader(block),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
            )
            if any(name not in table.column_names for name in columns):
                return None
            return pa.RecordBatch.from_arrays([plain(table.column(name)) for name in columns], names=list(columns))
        except pa.ArrowException:  # also for structure that it misreads
            return None

    def _parse_slow(self, block: bytes, first_line: int, columns: Sequence[str], bad_rows: BadRows) -> pa.RecordBatch:
        """The columns line by line; malformed lines are reported to `bad_rows`."""
        values: dict[str, list[Any]] = {name: [] for name in columns}
        for line_number, line in enumerate(block.split(b"\n"), first_line):
            if not line.strip():
                continue
            place = f"{self.path} line {line_number}"
            try:
                row = loads(line)
            except ValueError as error:
                bad_rows.add(place, f"not a JSON object ({error})")
                self._bad_lines.append(line_number)
                continue
            if not isinstance(row, dict):
                bad_rows.add(place, f"expected a JSON object, got {type(row).__name__}")
                self._bad_lines.append(line_number)
                continue
            absent = [name for name in columns if name in bad_rows.labels and name not in row]
            if absent:
                bad_rows.add(
                    place,
                    f"no value for {bad_rows.label(absent[0])} (rows before have {', '.join(bad_rows.labels)})",
                    hint="Write null where it does not apply.",
                )
                self._bad_lines.append(line_number)
                continue
            for name in columns:
                values[name].append(row.get(name))
        return pa.RecordBatch.from_arrays([as_array(values[name]) for name in columns], names=list(columns))


def line_blocks(path: Path, longest: int = LONGEST_ROW_BYTES) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines, each with the number of its first line, from 1.

    Raises:
        DataFormatError: a line is too long, or the file is damaged.
    """
    line_number, rest = 1, b""
    with pa.input_stream(str(path), compression="detect") as stream:
        while True:
            data = read_bytes(path, stream, BLOCK_BYTES)
            block = rest + data
            if line_number == 1 and block.startswith(_BOM):
                block = block[len(_BOM) :]
            cut = block.rfind(b"\n") + 1 if data else len(block)
            block, rest = block[:cut], block[cut:]
            if len(rest) > longest:
                raise DataFormatError(
                    f"{path} line {line_number + block.count(_LINE_END)} takes more than "
                    f"{longest:,} bytes, the most that is read of a line."
                )
            if block:
                yield line_number, block
                line_number += block.count(b"\n")
            if not data:
                return


def _holds_objects_only(block: bytes) -> bool:
    """Whether every value at the root of a block is an object: any other makes Arrow's parser read foreign memory.

    Lines are parsed here only where they begin with something else, or where a brace, which may stand in a text, is
    followed by the beginning of a value.
    """
    end = 0
    for match in _MAYBE_OTHER_ROOT.finditer(block):
        if match.start() < end:
            continue  # on a line that is an object
        start, end = block.rfind(b"\n", 0, match.start() + 1) + 1, block.find(b"\n", match.end() - 1)
        end = len(block) if end < 0 else end
        try:
            if not isinstance(json.loads(block[start:end]), dict):
                return False
        except (ValueError, RecursionError):
            return False
    return True


def check_jsonl(path: Path, start: bytes) -> None:
    """Raise for JSON that is not JSONL, and say how to convert it.

    Raises:
        DataFormatError: a JSON array, or one object spread over many lines.
    """
    text = start.removeprefix(_BOM).lstrip()
    if text.startswith(b"["):
        raise DataFormatError(
            f"{path} is a JSON array; a reward log is JSONL, one object per line. Convert it: jq -c '.[]' {path} > "
            "log.jsonl"
        )
    if text.split(b"\n", 1)[0].strip() == b"{":
        raise DataFormatError(
            f"{path} spreads objects over several lines; a reward log is JSONL, one object per line. Convert it: "
            f"jq -c . {path} > log.jsonl"
        )
