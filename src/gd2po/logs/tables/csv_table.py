"""Rows of a CSV file, as programs and spreadsheets write them: any of four delimiters, quotes, BOM, decimal commas."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from gd2po.errors import DataFormatError
from gd2po.logs.tables.table import HEAD_BYTES, HEAD_ROWS, MOST_COLUMNS, SHOWN_EXAMPLES, BadRows, check_names
from gd2po.logs.tables.text import LONGEST_ROW_BYTES, Utf8Stream, read_bytes

_SNIFFED_BYTES = 256 * 1024
_DELIMITERS = ",;\t|"
_CELL_CHARACTERS = 50
"""What a cell costs beside its text."""

_ENCODING_NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+")
_POINT_NUMBER = re.compile(r"[+-]?\d*\.\d+")


class CsvTable:
    """Rows of a CSV file; every column is text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._encoding = self._sniff_encoding()
        self._skipped_lines, self._delimiter, self.names = self._sniff_header()
        self._head = self._read_head()
        self.decimal_comma = self._sniff_decimal_comma()

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows."""
        columns = list(zip(*self._head, strict=True)) or [()] * len(self.names)
        return pa.table({name: pa.array(cells, pa.string()) for name, cells in zip(self.names, columns, strict=True)})

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch."""
        malformed: list[Any] = []

        def note(row: Any) -> str:
            malformed.append(row)
            return "skip"

        first_row = reported = 0
        stream = Utf8Stream(self.path, self._encoding)
        try:
            reader = self._open(stream, columns, note)
            while True:
                batch = next(reader, None)
                for row in malformed[reported:]:
                    self._report(row, reported, bad_rows)
                    reported += 1
                if batch is None:
                    self._note_replaced(stream)
                    return
                yield first_row, batch
                first_row += batch.num_rows
        except pa.ArrowInvalid as error:
            if "straddling object" in str(error):
                raise self._too_long() from error
            raise DataFormatError(f"{self.path} cannot be read as CSV: {str(error).rstrip('.')}.") from error

    def place(self, row: int) -> str:
        """`log.csv line 17`: the line on which the row starts."""
        for count, (line, _) in enumerate(self._records(well_formed=True)):
            if count == row:
                return f"{self.path} line {line}"
        return f"{self.path} row {row + 1}"

    def _too_long(self) -> DataFormatError:
        return DataFormatError(
            f"{self.path} has a row of more than {LONGEST_ROW_BYTES:,} bytes, the most that is read. Is a quote not "
            "closed, or is it no CSV?"
        )

    def _note_replaced(self, stream: Utf8Stream) -> None:
        """Say once that bytes were replaced."""
        note = f"Bytes that are not {_ENCODING_NAMES.get(self._encoding, self._encoding)} were replaced by \ufffd."
        if stream.replaced and note not in self.notes:
            self.notes.append(note)

    def _open(self, stream: Utf8Stream, columns: Sequence[str], note: Any) -> Iterator[pa.RecordBatch]:
        try:
            return iter(
                pc.open_csv(
                    stream,
                    read_options=pc.ReadOptions(
                        block_size=LONGEST_ROW_BYTES,
                        column_names=self.names,
                        skip_rows=self._skipped_lines,
                    ),
                    parse_options=pc.ParseOptions(
                        delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=note
                    ),
                    convert_options=pc.ConvertOptions(
                        column_types={name: pa.string() for name in self.names},
                        strings_can_be_null=False,
                        include_columns=list(columns),
                    ),
                )
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return iter(())
            raise

    def _report(self, row: Any, index: int, bad_rows: BadRows) -> None:
        """Report a row with the wrong number of cells, with its line while more examples are wanted."""
        if bad_rows.skip and index >= SHOWN_EXAMPLES:
            bad_rows.add_many(1)
            return
        lines = (line for line, cells in self._records(well_formed=False) if len(cells) != len(self.names))
        # Where quotes are broken, Arrow and Python may disagree on the rows.
        line = next((line for count, line in enumerate(lines) if count == index), None)
        place = f"{self.path} line {line}" if line else str(self.path)
        bad_rows.add(place, f"expected {row.expected_columns} cells as in the header, got {row.actual_columns}")

    def _records(self, *, well_formed: bool) -> Iterator[tuple[int, list[str]]]:
        """First line and cells of each record. Slow; for the head and to name a place."""
        limit = csv.field_size_limit(LONGEST_ROW_BYTES)
        try:
            with self._text() as text:
                lines = _Lines(text, self._too_long)
                reader = csv.reader(lines, delimiter=self._delimiter)
                line = 1
                for cells in reader:
                    lines.record_began()
                    if line > self._skipped_lines and cells and (not well_formed or len(cells) == len(self.names)):
                        yield line, cells
                    line = reader.line_num + 1
        except csv.Error as error:
            raise DataFormatError(f"{self.path} line {reader.line_num} cannot be read as CSV: {error}.") from error
        finally:
            csv.field_size_limit(limit)

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BufferedReader(Utf8Stream(self.path, self._encoding)), encoding="utf-8", newline="")

    def _sniff_encoding(self) -> str:
        with pa.input_stream(str(self.path), compression="detect") as stream:
            start = read_bytes(self.path, stream, _SNIFFED_BYTES)
        for bom, encoding in _BOMS:
            if start.startswith(bom):
                return encoding
        try:
            codecs.getincrementaldecoder("utf-8")().decode(start)
        except UnicodeDecodeError:
            self.notes.append("The file is not UTF-8 and is read as Windows-1252, which spreadsheets write.")
            return "cp1252"
        return "utf-8-sig"

    def _sniff_header(self) -> tuple[int, str, list[str]]:
        """The number of lines before the rows, the delimiter and the columns."""
        with self._text() as text:
            lines = _Lines(text, self._too_long)
            line, skipped = next(lines, ""), 1
            delimiter = ""
            if line.lower().startswith("sep=") and len(line.strip()) == 5:  # Excel's hint to itself
                delimiter = line.strip()[4]
                line, skipped = next(lines, ""), 2
        outside_quotes = re.sub(r'"[^"]*"', "", line)
        delimiter = delimiter or max(_DELIMITERS, key=outside_quotes.count)
        if line.count(delimiter) >= MOST_COLUMNS:
            check_names(self.path, line.split(delimiter))
        if line.count('"') % 2:
            raise DataFormatError(f"{self.path} line {skipped}: a column's name holds a line break or an open quote.")
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        # Spreadsheets leave empty columns at the right. Arrow wants names for them; nobody ever asks for these columns.
        names = [name or f"(unnamed column {number})" for number, name in enumerate(names, 1)]
        check_names(self.path, names)
        if delimiter != ",":
            shown = "tabs" if delimiter == "\t" else repr(delimiter)
            self.notes.append(f"Cells are separated by {shown}, as the header says.")
        return skipped, delimiter, names

    def _read_head(self) -> list[list[str]]:
        rows: list[list[str]] = []
        characters = 0
        for _, cells in self._records(well_formed=True):
            characters += sum(map(len, cells)) + _CELL_CHARACTERS * len(cells)
            rows.append(cells)
            if len(rows) == HEAD_ROWS or characters > HEAD_BYTES:
                break
        return rows

    def _sniff_decimal_comma(self) -> bool:
        cells = [cell.strip() for row in self._head for cell in row]
        commas = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
        points = any(_POINT_NUMBER.fullmatch(cell) for cell in cells)
        if commas and not points:
            self.notes.append("Numbers have decimal commas.")
        return commas and not points


class _Lines:
    """The lines of a text, as csv.reader wants them, as long as a record is not too long."""

    def __init__(self, text: io.TextIOWrapper, too_long: Callable[[], DataFormatError]) -> None:
        self._text, self._too_long, self._characters = text, too_long, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_ROW_BYTES)
        self._characters += len(line)
        if self._characters >= LONGEST_ROW_BYTES:
            raise self._too_long()
        if not line:
            raise StopIteration
        return line

    def record_began(self) -> None:
        """Count from here."""
        self._characters = 0
