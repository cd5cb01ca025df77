"""Evaluations in the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from gd2po.evaluation import Evaluation, PolicyChoice
from gd2po.evaluation.api_bank import LevelScores
from gd2po.evaluation.run.terminal import print_api_bank, print_safety, print_toolcalls
from gd2po.evaluation.safety import DatasetRewards


def evaluation(scores: dict[str, Any], outputs: int = 4, **changes: Any) -> Evaluation[Any]:
    records: dict[str, dict[str, Any]] = {str(key): {} for key in range(outputs)}
    values = {"policy": PolicyChoice("m"), "path": None, "num_prompts": 4, **changes}
    return Evaluation("b", scores, records, **values)


def printed(function: Any, found: Evaluation[Any]) -> str:
    console = Console(file=io.StringIO(), width=100)
    function(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def cells(text: str) -> list[list[str]]:
    """The cells of each line of a table."""
    lines = (line.replace("┃", "│") for line in text.splitlines())
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.count("│") > 1]


def test_levels_in_lines_and_scores_in_columns() -> None:
    text = printed(print_api_bank, evaluation({"level 1": LevelScores(3, 0.25, 0.5, 0.125)}))
    assert text.startswith("API-Bank, greedy decoding\n")
    assert cells(text) == [
        ["", "outputs", "accuracy", "format", "length"], ["level 1", "3", "25.00 %", "50.00 %", "0.125"],
    ]  # fmt: skip


def test_scores_of_the_built_in_task_in_lines() -> None:
    scores = {"num_outputs": 4, "target_words": 32, "exact_calls": 0.25, "brevity": 0.5}
    text = printed(print_toolcalls, evaluation(scores, policy=PolicyChoice("m", temperature=0.5)))
    assert text.startswith("toolcalls, 4 held-out prompts, temperature 0.5\n")
    assert cells(text) == [["", "mean"], ["exact_calls", "0.2500"], ["brevity", "0.5000"]]
    assert printed(print_toolcalls, evaluation(scores, outputs=1)).startswith("toolcalls, 1 held-out prompt, ")


def test_rewards_in_columns_of_their_own_and_their_sum() -> None:
    text = printed(print_safety, evaluation({"PKU": DatasetRewards(4, {"useful": 1.0, "harmless": -2.0}, -1.0)}))
    assert cells(text) == [
        ["", "outputs", "useful", "harmless", "sum"], ["PKU", "4", "1.0000", "-2.0000", "-1.0000"],
    ]  # fmt: skip


def test_what_is_missing_and_where_it_is_saved_are_said_only_where_they_are_so() -> None:
    scores = {"exact_calls": 1.0}
    text = printed(print_toolcalls, evaluation(scores, outputs=3, policy=None, path=Path("there/scores.json")))
    assert "outputs made elsewhere" in text
    assert "Excluded, without an output in the file: 1 of 4 prompts." in text
    assert "Written: there/scores.json" in text
    text = printed(print_toolcalls, evaluation(scores))
    assert "Excluded" not in text
    assert "Written" not in text
