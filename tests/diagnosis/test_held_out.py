"""Held-out scores of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gd2po.diagnosis import RewardLog, diagnose, render_html
from gd2po.diagnosis.held_out import held_out_section
from gd2po.runs.evaluations import EVALUATIONS, write_evaluation

SCORES = {"num_prompts": 64, "rewards": {"x": 1.5}, "metrics": {"exact": 0.25}, "shares": ["exact"]}


def test_the_scores_that_a_run_writes_are_read(tmp_path: Path) -> None:
    write_evaluation(tmp_path, 40, {**SCORES, "metrics": {"exact": float("nan")}})
    write_evaluation(tmp_path, 0, SCORES)
    held_out, notes = held_out_section(tmp_path)
    assert notes == []
    assert (held_out.num_prompts, held_out.steps) == (64, [0, 40])
    assert [(score.name, score.is_share, score.values) for score in held_out.scores] == [
        ("exact", True, [0.25, None]),
        ("x", False, [1.5, 1.5]),
    ]


def test_a_log_in_no_run_and_a_run_without_scores_have_none(tmp_path: Path) -> None:
    assert held_out_section(None) == held_out_section(tmp_path) == (None, [])


@pytest.mark.parametrize(
    "text", ["{", "[1]", "[" * 9999, '{"step": "x"}', '{"step": 1}', '{"step": 1, "rewards": {"x": 1}}', "\x00"]
)
def test_a_file_that_says_nothing_is_a_note_and_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / EVALUATIONS).write_text(text)
    held_out, (note,) = held_out_section(tmp_path)
    assert held_out is None
    assert note.startswith("No held-out scores: ")


@pytest.fixture
def run_folder(write_log: Any, tmp_path: Path) -> Path:
    columns = {"step": [1] * 4, "group": [0] * 4, "reward/x": [1.0, 0.0, 0.0, 1.0], "reward/y": [0.0, 1.0, 0.5, 1.0]}
    return write_log(columns, "run/rollouts/step_000001.parquet").parents[1]


def test_the_page_shows_them_before_the_evidence(run_folder: Path) -> None:
    for step, exact in ((0, 0.25), (10, 0.5), (20, 0.4)):
        write_evaluation(run_folder, step, {**SCORES, "metrics": {"exact": exact}})
    page = render_html(diagnose(RewardLog(run_folder)))
    assert "25.0% → 40.0%" in page
    assert "+15.0 points" in page
    places = [page.index(f'id="{name}"') for name in ("action", "held-out", "evidence", "rewards")]
    assert places == sorted(places)
    assert 'id="held-out-1"' in page


def test_a_page_without_them_has_no_such_section(run_folder: Path) -> None:
    assert 'id="held-out"' not in render_html(diagnose(RewardLog(run_folder)))
