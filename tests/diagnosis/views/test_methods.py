"""The few methods that are seen first, and on how much of the log they were evaluated."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, diagnose, print_diagnosis, render_html
from gd2po.diagnosis.views.methods import main_methods, recommended_threshold

USUAL = ["consensus", "gdpo", "grpo", "gd2po-snr 0.3", "gd2po-hard", "gd2po-auto"]


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        (None, USUAL),
        ("gdpo", ["gdpo", "consensus", "grpo", "gd2po-snr 0.3", "gd2po-hard", "gd2po-auto"]),
        ("gd2po-gated", ["gd2po-gated", *USUAL[:5]]),
    ],
)
def test_at_most_six_methods_are_seen_first(write_log: Any, small_table: Any, setting: Any, shown: list[str]) -> None:
    own = None if setting is None else Setting.named(setting, "test")
    diagnosis = diagnose(RewardLog(write_log(small_table)), setting=own)
    first, others = main_methods(diagnosis.methods)
    assert [method.name for method in first] == shown
    assert sorted(method.name for method in first + others) == sorted(method.name for method in diagnosis.methods)

    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out))
    table = out.getvalue().split("What each method would do")[1]
    rows = re.findall(r"^ ([cg]\w+[^ ]*(?: [\d.]+)?)(?: \(this run\))? ", table, re.MULTILINE)
    assert rows == shown
    assert ("(this run)" in table) is (setting is not None)

    page = render_html(diagnosis)
    before, _, after = page.partition('<details class="card scroll" id="other-methods">')
    assert all(f"<td>{name}" in before for name in shown)
    assert all(f"<td>{method.name}" in after for method in others)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (("MOST_STEPS", 3), "from 3 of 5 steps, evenly spaced"),
        (("MOST_ROLLOUTS", 64), "from 1 of 5 steps, evenly spaced"),
        (("MOST_STEPS", 5), None),
    ],
)
def test_it_is_said_on_how_many_steps_the_methods_were_evaluated(
    make_log: Any, write_log: Any, trade_off: Any, monkeypatch: pytest.MonkeyPatch, limit: Any, words: str | None
) -> None:
    monkeypatch.setattr(f"gd2po.diagnosis.numbers.sample.{limit[0]}", limit[1])
    diagnosis = diagnose(RewardLog(write_log(make_log(trade_off, steps=5, groups=8).columns)))
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out))
    for text in (render_html(diagnosis), out.getvalue()):
        assert ("evenly spaced" in text) is (words is not None)
        assert words is None or words in text
    assert diagnosis.source.steps == 5
    assert diagnosis.method_sample.rollouts == 64 * diagnosis.method_sample.steps


def test_it_is_said_on_how_much_of_one_huge_step_the_methods_were_evaluated(
    make_log: Any, write_log: Any, trade_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gd2po.diagnosis.numbers.sample.MOST_ROLLOUTS", 64)
    diagnosis = diagnose(RewardLog(write_log(make_log(trade_off, steps=1, groups=20).columns)))
    assert "from 64 of 160 rollouts" in render_html(diagnosis)
    assert diagnosis.source.rollouts == 160


def test_a_method_that_does_not_say_whose_its_advantage_is_has_no_voice(write_log: Any, small_table: Any) -> None:
    diagnosis = diagnose(RewardLog(write_log(small_table)))
    silent = [method for method in diagnosis.methods if None in method.variance_share.values()]
    page = render_html(diagnosis)
    assert page.count('class="voices"') == len(diagnosis.methods) - len(silent)
    assert page.count('data-label="Voice">–') == len(silent)


def test_a_threshold_next_to_the_runs_own_is_not_recommended(make_log: Any, write_log: Any, trade_off: Any) -> None:
    path = write_log(make_log(trade_off).columns)
    best = diagnose(RewardLog(path)).explorer.recommended_threshold
    assert 0.05 < best < 0.5
    for own, shown in ((best - 0.02, 0.0), (best + 0.02, 0.0), (1.0, best)):
        diagnosis = diagnose(RewardLog(path), setting=Setting.of({"snr_threshold": round(own, 2)}, "test"))
        assert recommended_threshold(diagnosis.explorer) == shown
        assert ("leaves every reward" in render_html(diagnosis)) is (shown > 0)
