"""What the terminal views share: findings, tables, and how they are printed where the output is no terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from gd2po.report.findings import Finding, tone_of
from gd2po.report.intervals import Estimate

PLAIN_WIDTH = 160
"""Columns where the output is no terminal."""

Part = Text | Padding | Table

_TONES = {"act": "bold red", "watch": "yellow", "good": "green", "note": "cyan"}

DIFFERENCES = {"good": "green", "act": "red", "note": ""}
"""Styles of differences, by their tone."""


def headline_parts(headline: str, findings: Sequence[Finding]) -> list[Part]:
    """The headline, and each finding with its text below."""
    parts: list[Part] = [Text(headline, style="bold")]
    for finding in findings:
        parts += [Text(finding.title, style=_TONES[finding.level]), Padding(Text(finding.text), (0, 0, 0, 2))]
    return parts


def coloured(difference: Estimate | None, words: Callable[[Estimate], str]) -> Text:
    """A difference in the colour of its sign where it is beyond noise; empty where there is none."""
    return Text("" if difference is None else words(difference), style=DIFFERENCES[tone_of(difference)])


def plain_table(title: str | None, first: str, columns: Sequence[str]) -> Table:
    """An empty table whose first column names the rows and whose others hold numbers; a title folds at its width."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table


def print_table(table: Table, console: Console) -> None:
    """Print a table so that no number is cut: columns that do not fit beside the first stand in a further table.

    Args:
        table: whose first column names the rows.
        console: where to.
    """
    for part in fitted(table, console):
        console.print(part, highlight=False)


def fitted(table: Table, console: Console) -> list[Table]:
    """The table itself where it fits; else tables of as many of its columns as fit, each after the first column."""
    width = console.width
    if console.measure(table, options=console.options.update(max_width=10_000)).maximum <= width:
        return [table]
    first, *others = (_Column(column, console) for column in table.columns)
    frame = _frame(table)
    room = width - frame(1) - first.least
    if any(column.least + frame(2) - frame(1) > room for column in others):  # names that leave no room for a number
        first.least = max(min(first.least, width // 3), 8)
        room = width - frame(1) - first.least
        for column in others:  # nor does a word that is wider than the rest of the line
            column.least = min(column.least, room + frame(1) - frame(2))
    blocks: list[list[_Column]] = []
    left = 0
    for column in others:
        need = column.least + frame(2) - frame(1)
        if not blocks or need > left:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= need
    return [
        _part(table, [first, *block], width - frame(1 + len(block)), place == 0) for place, block in enumerate(blocks)
    ]


class _Column:
    """A column and the least width that cuts no word of its header and, unless it is text, no cell."""

    def __init__(self, column: Column, console: Console) -> None:
        self.column = column
        cells = [console.render_str(cell) if isinstance(cell, str) else cell for cell in column.cells]
        measures = [console.measure(cell) for cell in cells]
        words = console.measure(column.header).minimum
        self.most = max([console.measure(column.header).maximum, *(one.maximum for one in measures)])
        is_text = column.justify == "left" and not column.no_wrap
        self.least = max([words, *(one.minimum if is_text else one.maximum for one in measures)])


def _frame(table: Table) -> Callable[[int], int]:
    """The width of borders and padding of a table, by its number of columns."""

    def width(columns: int) -> int:
        part = Table(box=table.box, pad_edge=table.pad_edge, padding=table.padding, show_edge=table.show_edge)
        for _ in range(columns):
            part.add_column("x", width=1)
        return int(Console(width=10_000).measure(part).maximum) - columns

    return width


def _part(table: Table, columns: list[_Column], room: int, is_first: bool) -> Table:
    """A table of some of the columns, with widths that fill the room but exceed no column's need."""
    widths = [column.least for column in columns]
    for place, column in enumerate(columns):
        widths[place] += max(min(column.most - column.least, room - sum(widths)), 0)
    part = Table(
        title=table.title if is_first else None,
        title_justify=table.title_justify,
        title_style=table.title_style,
        box=table.box,
        pad_edge=table.pad_edge,
        padding=table.padding,
    )
    for column, width in zip(columns, widths, strict=True):
        given = column.column
        part.add_column(given.header, justify=given.justify, style=given.style, overflow="fold", width=width)
    for row in zip(*(column.column.cells for column in columns), strict=True):
        part.add_row(*row)
    return part


def print_parts(parts: Sequence[Part], console: Console, plain_width: int = PLAIN_WIDTH) -> None:
    """Print parts one below the other; into a file or pipe without colours, blanks at the ends of lines, or folding."""
    if console.is_terminal:
        for part in parts:
            for one in fitted(part, console) if isinstance(part, Table) else [part]:
                console.print(one, highlight=False, soft_wrap=_stays_whole(one))
        return
    text = io.StringIO()
    plain = Console(file=text, width=plain_width, no_color=True, highlight=False)
    for part in parts:
        plain.print(part, soft_wrap=_stays_whole(part))
    # Rich fills its lines up with blanks, which a file has no use for.
    console.file.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def print_written(paths: Iterable[Path], console: Console) -> None:
    """Say which files were written, each on a line that is not folded."""
    for path in paths:
        console.print(f"Written: {path}", highlight=False, soft_wrap=True, markup=False)


def _stays_whole(part: Part) -> bool:
    """Whether no line of a part may be folded, as of a command to paste."""
    return isinstance(part, Text) and bool(part.no_wrap)
