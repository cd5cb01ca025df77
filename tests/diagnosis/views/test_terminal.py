"""The terminal view, in a terminal and out of one."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from gd2po.diagnosis import Diagnosis, RewardLog, diagnose, print_diagnosis
from gd2po.report.intervals import Interval
from gd2po.report.wording import percent, with_interval


@pytest.fixture
def diagnosis(make_log: Any, write_log: Any, trade_off: Any) -> Diagnosis:
    return diagnose(RewardLog(write_log(make_log(trade_off).columns)))


def test_out_of_a_terminal_it_is_plain(diagnosis: Diagnosis) -> None:
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out))
    text = out.getvalue()
    assert "\x1b" not in text
    assert all(line == line.rstrip() and len(line) <= 120 for line in text.splitlines())
    assert f"\n{diagnosis.verdict.headline}\nWhat to do: {diagnosis.action.title}\n" in text
    for words in (
        "Rewards",
        "Pairs",
        "What each method would do",
        "quality · brevity",
        "oppose: a trade-off",
        "gd2po-auto",
    ):
        assert words in text
    hard = next(method for method in diagnosis.methods if method.name == "gd2po-hard")
    assert re.search(rf"gd2po-hard +{percent(hard.filtered_rate)}", text)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_in_a_terminal_it_has_colours_and_keeps_to_the_width(diagnosis: Diagnosis, width: int) -> None:
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out, force_terminal=True, width=width, color_system="truecolor"))
    assert "\x1b[1;31mA trade-off" in out.getvalue()
    assert max(Text.from_ansi(line).cell_len for line in out.getvalue().splitlines()) <= width


def test_where_the_encoding_knows_ascii_only_it_is_ascii(diagnosis: Diagnosis) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_diagnosis(diagnosis, Console(file=out))
    out.flush()
    assert b"oppose: a trade-off" in raw.getvalue()
    assert b"###" in raw.getvalue()


def test_markup_in_a_name_is_printed_as_it_is(write_log: Any) -> None:
    path = write_log({"group": [0, 0], "[red]x[/red]": [1.0, 0.0], "y": [0.0, 1.0]})
    out = io.StringIO()
    print_diagnosis(diagnose(RewardLog(path)), Console(file=out))
    assert "[red]x[/red]" in out.getvalue()


def test_many_rewards_keep_the_pairs_to_a_screen(make_log: Any, write_log: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        return {f"r{k}": random.normal(size=(groups, size)) for k in range(8)}

    out = io.StringIO()
    print_diagnosis(diagnose(RewardLog(write_log(make_log(rewards, steps=2).columns))), Console(file=out))
    assert "and 13 more that conflict less" in out.getvalue()


def test_shares_are_never_rounded_to_what_they_are_not() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.004, 0.099, 0.0996, 0.994, 0.9996, 1.0)] == [
        "0%", "<0.1%", "0.4%", "9.9%", "10%", "99.4%", ">99.9%", "100%",
    ]  # fmt: skip
    assert with_interval(Interval(None, None, None)) == "–"


def test_a_command_to_paste_is_one_line_however_narrow_the_terminal(diagnosis: Diagnosis) -> None:
    command = "gd2po train --config runs/one/config.yaml --reward_weights 1 1 " + "x" * 200
    told = dataclasses.replace(diagnosis, action=dataclasses.replace(diagnosis.action, command=command))
    for terminal in (True, False):
        out = io.StringIO()
        print_diagnosis(told, Console(file=out, width=60, force_terminal=terminal, color_system=None))
        (line,) = [line for line in out.getvalue().splitlines() if " train --config" in line]
        assert line.endswith(command.removeprefix("gd2po"))
