"""Tables in narrow terminals: columns move into a further table, and no number is cut."""

from __future__ import annotations

import io

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from gd2po.comparison.statistics import Estimate as SeedEstimate
from gd2po.report.intervals import Estimate
from gd2po.report.terminal import DIFFERENCES, coloured, plain_table, print_table

NAMES = ["tool_call_correctness", "tool_call_format", "think_length"]
CELLS = ["57%", "−0.123 [−0.200, −0.050]", "12,345", ">99.9%", "+0.57 [+0.50, +0.63]", "0.0213"]
COLUMNS = ["kept", "difference, 95%", "rollouts", "sure", "correlation, 95%", "learning rate"]


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_table(table, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def numbers() -> Table:
    table = plain_table("A title that is longer than most", "method", COLUMNS)
    for name in NAMES:
        table.add_row(name, *CELLS)
    return table


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_number_and_name_is_whole_at_any_usual_width(width: int) -> None:
    text = printed(numbers(), width)
    for word in (*NAMES, *CELLS):
        assert text.count(word) >= (1 if word in NAMES else 3), word
    assert all(len(line.rstrip("\n")) <= width for line in text.splitlines())
    for word in ["kept", "difference", "correlation", "learning"]:
        assert word in text


def test_a_wide_terminal_has_one_table_and_a_narrow_one_several() -> None:
    assert printed(numbers(), 200).count("method") == 1
    assert printed(numbers(), 60).count("method") > 1


def test_boxes_hold_as_well_and_text_wraps_between_words() -> None:
    table = Table(box=box.HEAVY_HEAD)
    table.add_column("", overflow="fold")
    table.add_column("reading")
    table.add_column("share", justify="right")
    table.add_row("a", "a sentence that wraps where it has blanks between its words " * 2, "57%")
    text = printed(table, 60)
    assert "57%" in text
    assert "sentence" in text
    assert max(map(len, text.splitlines())) <= 60


def test_a_word_longer_than_the_terminal_leaves_room_for_the_names_of_the_rows() -> None:
    table = plain_table(None, "method", ["drops"])
    table.add_column("keeps at least")
    table.add_row("gd2po-snr 0.3", "57%", "71% of " + "x" * 61)
    text = printed(table, 60)
    assert text.count("gd2po-snr") == 2
    assert max(map(len, text.splitlines())) <= 60


def test_a_name_longer_than_the_terminal_folds_and_numbers_stay() -> None:
    table = plain_table(None, "reward", ["share", "correlation"])
    table.add_row("x" * 100, "57%", "+0.57 [+0.50, +0.63]")
    text = printed(table, 60)
    assert "57%" in text
    assert "+0.57 [+0.50, +0.63]" in text


def test_only_differences_beyond_noise_are_coloured() -> None:
    def style(estimate: Estimate | None) -> object:
        return coloured(estimate, lambda known: f"{known.value:g}").style

    assert style(Estimate(0.2, 0.1, 0.3)) == DIFFERENCES["good"]
    assert style(Estimate(-0.2, -0.3, -0.1)) == DIFFERENCES["act"]
    assert style(Estimate(0.2, -0.1, 0.5)) == ""
    assert style(SeedEstimate(0.2, 0.1, 0.3, seeds=3)) == ""  # too few to be believed
    assert coloured(Estimate(0.2, None, None), lambda known: f"{known.value:g}").plain == "0.2"
    assert coloured(None, str).plain == ""
