"""What the terminal views share: findings, tables, and how they are printed where the output is no terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gd2po.report.findings import Finding

PLAIN_WIDTH = 160
"""Columns where the output is no terminal."""

Part = Text | Padding | Table

_TONES = {"act": "bold red", "watch": "yellow", "good": "green", "note": "cyan"}


def headline_parts(headline: str, findings: Sequence[Finding]) -> list[Part]:
    """The headline, and each finding with its text below."""
    parts: list[Part] = [Text(headline, style="bold")]
    for finding in findings:
        parts += [Text(finding.title, style=_TONES[finding.level]), Padding(Text(finding.text), (0, 0, 0, 2))]
    return parts


def plain_table(title: str | None, first: str, columns: Sequence[str]) -> Table:
    """An empty table whose first column names the rows and whose others hold numbers; a title folds at its width."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table


def print_parts(parts: Sequence[Part], console: Console) -> None:
    """Print parts one below the other; into a file or pipe without colours, blanks at the ends of lines, or folding."""
    if console.is_terminal:
        for part in parts:
            console.print(part, highlight=False)
        return
    text = io.StringIO()
    plain = Console(file=text, width=PLAIN_WIDTH, no_color=True, highlight=False)
    for part in parts:
        plain.print(part)
    # Rich fills its lines up with blanks, which a file has no use for.
    console.file.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))
