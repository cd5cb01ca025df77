"""The held-out scores in a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gd2po.errors import DataFormatError
from gd2po.runs.evaluations import EVALUATIONS, read_evaluations, shares_over, write_evaluation


def entry(step: int, exact: float, quality: float | None, shares: Any) -> dict[str, Any]:
    return {"step": step, "rewards": {}, "metrics": {"exact": exact, "quality": quality}, "shares": shares}


def test_a_step_that_a_resumed_run_scores_again_is_there_once(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []
    for step, exact in ((10, 0.5), (0, 0.25), (10, 0.75)):
        write_evaluation(tmp_path, step, {"metrics": {"exact": exact}})
    assert [(found["step"], found["metrics"]) for found in read_evaluations(tmp_path)] == [
        (0, {"exact": 0.25}),
        (10, {"exact": 0.75}),
    ]


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / EVALUATIONS).write_text('{"metrics": {}}\n')
    with pytest.raises(DataFormatError, match=f"{EVALUATIONS} does not hold the held-out scores of a run"):
        read_evaluations(tmp_path)


def test_a_metric_that_is_graded_once_is_no_share_and_an_undefined_one_says_nothing() -> None:
    by_chance = entry(0, 0.0, 0.0, ["exact", "quality"])
    assert shares_over([by_chance, entry(10, 0.5, 0.3, ["exact"])]) == {"exact"}
    assert shares_over([by_chance, entry(10, 0.5, None, ["exact"])]) == {"exact", "quality"}


@pytest.mark.parametrize("shares", [None, "exact", [["exact"]], 3])
def test_shares_of_another_form_are_none(shares: Any) -> None:
    assert shares_over([entry(0, 1.0, 1.0, shares)]) == frozenset()
    assert shares_over([{"metrics": [1]}, {}]) == frozenset()
