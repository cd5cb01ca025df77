"""The page as text: complete, escaped, small, and allowed nothing from the network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, diagnose, render_html, write_html
from gd2po.errors import MissingDependencyError

EVIL = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "quoted" {{ 7 * 7 }} \u2028'


@pytest.fixture
def evil_columns() -> dict[str, list[Any]]:
    """A log with markup wherever a log has text."""
    return {
        "group": [0, 0, 0, 0],
        f"x{EVIL.strip()}": [1.0, 0.0, 0.5, 0.25],  # a name holds no line separator
        "y<b>%{z}": [0.0, 1.0, 0.5, 0.75],
        "prompt": [f"prompt {EVIL}"] * 4,
        "completion": [f"{EVIL} {row}" for row in range(4)],
    }


def test_no_text_of_the_log_becomes_markup(write_log: Any, evil_columns: Any) -> None:
    page = render_html(diagnose(RewardLog(write_log(evil_columns))))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "49" not in re.findall(r"prompt [^\n]*", page)[0][:200]
    assert page.count("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
    # Two data blocks, Plotly and the page's own script, and nothing else.
    assert len(re.findall(r"<script[ >]", page)) - page.count('"<script') - page.count("'<script") <= 6


def test_embedded_data_stays_data(write_log: Any, evil_columns: Any) -> None:
    page = render_html(diagnose(RewardLog(write_log(evil_columns))))
    for name in ("charts", "explorer-data"):
        text = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL).group(1)
        assert not set("<>&\u2028\u2029") & set(text)
        json.loads(text)


def test_the_policy_names_its_scripts_and_allows_no_network(write_log: Any, small_table: Any) -> None:
    page = render_html(diagnose(RewardLog(write_log(small_table))))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1).replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("sha256-") == 2
    assert "http" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_the_page_stays_small_for_any_log(make_log: Any, write_log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.diagnosis.numbers.sample.MOST_STEPS", 8)  # whose number changes no size

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        return {f"reward number {k}": random.normal(size=(groups, size)) for k in range(16)}

    log = make_log(rewards, steps=200, groups=4, group_size=4)
    columns = {
        **log.columns,
        "prompt": [f"{group} " + "p" * 9000 for group in log.groups],
        "completion": ["<" * 9000] * len(log.steps),
    }
    path = write_html(
        diagnose(RewardLog(write_log(columns))), write_log({"x": [1]}, "x.parquet").with_name("page.html")
    )
    assert path.stat().st_size < 6_000_000


@pytest.mark.parametrize("rewards", [1, 2])
def test_a_log_of_one_step_and_one_of_one_reward_have_a_page(write_log: Any, rewards: int) -> None:
    columns: dict[str, Any] = {"group": [0, 0, 1, 1], "x": [1.0, 0.0, 1.0, 1.0]}
    if rewards == 2:
        columns["y"] = [0.0, 1.0, None, None]
    page = render_html(diagnose(RewardLog(write_log(columns))))
    assert "The log has one step" in page
    assert ("Threshold explorer" in page) is (rewards == 2)


def test_the_page_is_written_whole_or_not_at_all(write_log: Any, small_table: Any, tmp_path: Path) -> None:
    diagnosis = diagnose(RewardLog(write_log(small_table)))
    path = write_html(diagnosis, tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == render_html(diagnosis)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_missing_plotly_is_named(write_log: Any, small_table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = diagnose(RewardLog(write_log(small_table)))
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'gd2po\[report\]'"):
        render_html(diagnosis)


def test_the_page_says_how_the_run_was_made_and_who_says_so(write_log: Any, small_table: Any) -> None:
    log = RewardLog(write_log(small_table))
    assert "gd2po-hard, as the caller says" in render_html(diagnose(log, setting=Setting.named("gd2po-hard", "test")))
    assert " says</span>" not in render_html(diagnose(log))


def test_the_same_completion_is_shown_once_with_its_count(write_log: Any) -> None:
    columns = {
        "group": [0] * 12,
        "correct": [1.0] * 6 + [0.0] * 6,
        "brief": [0.0] * 6 + [1.0] * 5 + [0.5],
        "prompt": ["Why?"] * 12,
        "completion": ["because, at length"] * 5 + ["other"] + ["no"] * 6,
    }
    diagnosis = diagnose(RewardLog(write_log(columns)))
    (group,) = diagnosis.prompts
    assert [(rollout.completion, rollout.count) for rollout in group.rollouts] == [
        ("because, at length", 5), ("other", 1), ("no", 5), ("no", 1)
    ]  # fmt: skip
    page = render_html(diagnosis)
    assert page.count("<pre>because, at length</pre>") == 1
    assert page.count("5 times · ") == 2
    assert "rollouts, those that conflict the most" not in page  # all twelve are there


def test_rollouts_without_texts_are_not_taken_for_the_same(write_log: Any) -> None:
    columns = {"group": [0] * 4, "correct": [1.0, 1.0, 0.0, 0.0], "brief": [0.0, 0.0, 1.0, 1.0]}
    (group,) = diagnose(RewardLog(write_log(columns))).prompts
    assert [rollout.count for rollout in group.rollouts] == [1] * 4


def test_more_different_completions_than_fit_are_those_that_conflict_the_most(write_log: Any) -> None:
    gaps = [row / 10 for row in range(20)]
    columns = {
        "group": [0] * 40,
        "correct": [gap for gap in gaps for _ in range(2)],
        "brief": [-gap for gap in gaps for _ in range(2)],
        "prompt": ["Why?"] * 40,
        "completion": [f"answer {row}" for row in range(20) for _ in range(2)],
    }
    (group,) = diagnose(RewardLog(write_log(columns))).prompts
    assert [rollout.completion for rollout in group.rollouts] == [
        f"answer {row}" for row in (0, 1, 2, 3, 16, 17, 18, 19)
    ]
    assert {rollout.count for rollout in group.rollouts} == {2}


def test_what_is_to_be_done_stands_before_the_findings(write_log: Any, small_table: Any) -> None:
    diagnosis = diagnose(RewardLog(write_log(small_table)))
    page = render_html(diagnosis)
    assert page.index(diagnosis.action.title) < page.index(diagnosis.verdict.findings[0].advice)


def test_terms_are_explained_where_they_first_stand(make_log: Any, write_log: Any, trade_off: Any) -> None:
    page = render_html(diagnose(RewardLog(write_log(make_log(trade_off).columns))))
    body = page[page.index('id="evidence"') :]
    text = re.sub(r"<(?!b>|/b>)[^>]*>", " ", body[: body.index('<script type="application/json"')])
    for term, word in (("group", "groups"), ("signal", "signal"), ("penalties", "penalties"), ("filter", "filter")):
        assert 0 <= text.index(f"<b>{term}</b>") <= text.index(word)
    for term in ("constant group", "correlation", "score", "Effective sample", "Voice", "resample"):
        assert f"<b>{term}</b>" in text
