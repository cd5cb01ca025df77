from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from gd2po.training.summary import print_summary


def printed(before: dict[str, Any], after: dict[str, Any]) -> list[list[str]]:
    """The cells of the table of held-out scores, row by row."""
    summary = {
        "held_out": {"before": before, "after": after}, "training_means": {}, "advantage_estimator": "gdpo",
        "idle_rewards": {}, "steps": 3, "train_seconds": 1.0, "recipe": "quickstart",
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=120)
    print_summary(Path("run"), summary, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def scores(verified: float, graded: float, brevity: float, shares: list[str]) -> dict[str, Any]:
    metrics = {"verified": verified, "graded": graded}
    return {"num_prompts": 8, "rewards": {"brevity": brevity}, "metrics": metrics, "shares": shares}


def test_metrics_come_before_rewards_and_shares_are_in_percent_and_points() -> None:
    rows = printed(scores(0.5, 0.25, 0.1, ["verified"]), scores(0.625, 0.5, 0.05, ["verified"]))
    assert rows == [
        ["verified", "50.0 %", "62.5 %", "+12.5"],
        ["graded", "0.250", "0.500", "+0.250"],
        ["brevity", "0.100", "0.050", "-0.050"],
    ]


def test_a_metric_that_is_graded_only_after_training_is_no_share() -> None:
    rows = printed(scores(0.0, 0.0, 0.1, ["verified", "graded"]), scores(0.5, 0.3, 0.1, ["verified"]))
    assert rows[:2] == [["verified", "0.0 %", "50.0 %", "+50.0"], ["graded", "0.000", "0.300", "+0.300"]]
