"""Columns as NumPy arrays: numbers out of whatever a log holds, with the rows that hold no number marked as bad."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MISSING = ("", "null", "none", "nan", "na", "n/a", "#n/a")
"""Texts (in any case) that say: this reward does not apply."""

_AS_TEXT = (pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_TRUTH = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class Numbers:
    """A column of numbers."""

    values: NDArray[np.float64]
    """(N,) NaN where nothing is given and where the row is bad."""
    bad: NDArray[np.bool_] | None
    """(N,) True where the row holds something other than a finite number; None if no row does."""


def to_numbers(column: Any, *, decimal_comma: bool = False) -> Numbers:
    """The numbers of a column.

    Booleans count as 0 and 1, text as the number that it spells, and null, NaN and the texts in `MISSING` as not given.

    Args:
        column: an Arrow array of any type, N cells.
        decimal_comma: text has a comma where others have a point.

    Returns:
        The N numbers and which cells are bad.

    Example:
        >>> to_numbers(pa.array(["0.5", "", "true", "good"]))
        Numbers(values=array([0.5, nan, 1. , nan]), bad=array([False, False, False,  True]))
    """
    column = plain(column)
    if pa.types.is_null(column.type):
        return Numbers(np.full(len(column), np.nan), None)
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    if is_text(column.type):
        return _spelled_numbers(column, decimal_comma)
    if not is_numeric(column.type):
        return Numbers(np.full(len(column), np.nan), np.asarray(column.is_valid()))
    values = np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    bad = np.isinf(values)
    return _checked(values, bad)


def _spelled_numbers(column: Any, decimal_comma: bool) -> Numbers:
    text = pc.utf8_trim_whitespace(column)
    try:  # the rule: every cell is a number
        return _checked_text(pc.cast(_with_points(text, decimal_comma), pa.float64()))
    except pa.ArrowInvalid:
        pass
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.is_in(lower, value_set=pa.array(MISSING)), pa.scalar(None, text.type), text)
    for word, number in _TRUTH.items():
        text = pc.if_else(pc.equal(lower, word), pa.scalar(number, text.type), text)
    text = _with_points(text, decimal_comma)
    spelled = pc.match_substring_regex(text, _NUMBER)
    bad = np.asarray(pc.fill_null(pc.invert(spelled), False).to_numpy(zero_copy_only=False))
    numbers = pc.cast(pc.if_else(spelled, text, pa.scalar(None, text.type)), pa.float64())
    values = np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    return _checked(values, bad | np.isinf(values))


def _with_points(text: Any, decimal_comma: bool) -> Any:
    """Decimal commas as points. A point is then a separator of thousands or a slip: it becomes unreadable."""
    if not decimal_comma:
        return text
    return pc.replace_substring(pc.replace_substring(text, ".", "'"), ",", ".")


def _checked_text(column: Any) -> Numbers:
    values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    return _checked(values, np.isinf(values))


def _checked(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> Numbers:
    if not bad.any():
        return Numbers(values, None)
    return Numbers(np.where(bad, np.nan, values), bad)


def to_keys(column: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(N,) integers that are equal where the cells are, and (N,) True for cells that hold nothing.

    An integer stands for itself, anything else is hashed as text.

    Example:
        >>> to_keys(pa.array([3, 3, None]))
        (array([3, 3, 0]), array([False, False,  True]))
    """
    column = plain(column, keep_dictionary=True)
    missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), dtype=np.int64), missing
    if not pa.types.is_dictionary(column.type):
        column = as_text(column).dictionary_encode()
    texts = to_strings(as_text(column.dictionary))
    hashes = np.fromiter((_hash(text or "") for text in texts), dtype=np.int64, count=len(texts))
    if not len(hashes):
        return np.zeros(len(column), dtype=np.int64), missing
    indices = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
    return hashes[indices], missing


def _hash(text: str) -> int:
    """The same in every process, unlike Python's own: a log is taken apart by it."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def as_text(column: Any) -> Any:
    """A column as text, for reading and comparing: chat messages become their contents, line by line.

    Example:
        >>> as_text(pa.array([[{"role": "user", "content": "Hi."}], None])).to_pylist()
        ['Hi.', None]
    """
    column = plain(column)
    kind = column.type
    if is_text(kind):
        return column
    if pa.types.is_null(kind):
        return pa.array([None] * len(column), pa.string())
    if not pa.types.is_nested(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        names = [field.name for field in kind.value_type]
        if "content" in names and is_text(kind.value_type.field("content").type):
            return _contents(column)
    return pa.array([None if cell is None else _text_of(cell) for cell in _cells(column)], pa.string())


def to_strings(column: Any) -> list[str | None]:
    """A column of text as Python strings, with a replacement character for each byte that is not UTF-8.

    Example:
        >>> to_strings(pa.array(["fine", None]))
        ['fine', None]
    """
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        cells = pc.cast(column, pa.binary()).to_pylist()
        return [None if cell is None else cell.decode("utf-8", "replace") for cell in cells]


def _cells(column: Any) -> list[Any]:
    """The cells of a nested column; one with text that is not UTF-8 as a replacement character."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return "\ufffd"


def _contents(column: Any) -> Any:
    """The contents in a list<struct<content, ...>> column, joined per row without a Python loop."""
    contents = pc.fill_null(column.values.field("content"), "")
    lists = pa.ListArray.from_arrays(column.offsets, contents)
    joined = pc.binary_join(lists, "\n")
    return pc.if_else(column.is_valid(), joined, pa.scalar(None, joined.type))


def _text_of(cell: Any) -> str:
    """The text of one cell; of one nested beyond reason a replacement character."""
    try:
        return message_text(cell)
    except RecursionError:
        return "\ufffd"


def message_text(cell: object) -> str:
    """The text of one cell that holds chat messages, content parts or anything else."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, list):
        return "\n".join(message_text(part) for part in cell)
    if isinstance(cell, dict):
        for key in ("content", "text"):
            if isinstance(cell.get(key), (str, list)):
                return message_text(cell[key])
    return json.dumps(cell, ensure_ascii=False, default=str)


def plain(column: Any, *, keep_dictionary: bool = False) -> Any:
    """One contiguous array instead of chunks, decoded unless the dictionary is to be kept."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type) and not keep_dictionary:
        return column.dictionary_decode()
    return column


def as_readable(column: Any) -> Any:
    """A column of a file as this package reads columns: views and bytes as text, and all text valid UTF-8."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = as_readable(column.dictionary)
        return column if values is column.dictionary else pa.DictionaryArray.from_arrays(column.indices, values)
    if not (is_text(kind) or kind in _AS_TEXT or pa.types.is_fixed_size_binary(kind)):
        return column
    if is_text(kind):
        try:
            column.validate(full=True)
            return column
        except pa.ArrowInvalid:
            pass
    cells = pc.cast(column, pa.large_binary()).to_pylist()
    return pa.array([None if cell is None else cell.decode("utf-8", "replace") for cell in cells], pa.string())


def is_numeric(kind: Any) -> bool:
    """True for an Arrow type of numbers or booleans."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def is_text(kind: Any) -> bool:
    """True for an Arrow type of text, but for views."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
