"""Results that verifiers 0.1 wrote (data/evaluate_verifiers_1.py); those of 0.2.1 have the same columns and more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from log_fixtures import group_rewards, json_lines, read, write_json_lines

from gd2po.diagnosis import RewardLog

RESULTS = Path(__file__).parents[1] / "data" / "verifiers" / "results.jsonl"


def results(**changes: Any) -> list[dict[str, Any]]:
    return [row | changes for row in json_lines(RESULTS)]


def test_results_are_read_with_the_rewards_behind_their_total() -> None:
    log = RewardLog(RESULTS)
    assert log.layout.format == "verifiers_results"
    assert log.layout.reward_names == ["correct", "brief"]  # polite has no weight
    assert any("with the weights correct=1,brief=0.2" in note for note in log.notes())
    assert [len(group) for group in group_rewards(log)] == [3, 3]
    assert log.texts([0])[0] == ("1 + 1?", "The sum is 2.")
    assert read(log).rewards[0].tolist() == pytest.approx([1.0, 1 / 14])


def test_a_total_of_other_things_leaves_all_numbers_but_the_total(tmp_path: Path) -> None:
    log = RewardLog(write_json_lines(tmp_path / "results.jsonl", results(reward=3.0)))
    assert log.layout.reward_names == ["correct", "brief", "polite"]
    assert "reward is excluded as their total" in " ".join(log.notes())


def test_rewards_that_cannot_be_told_apart_are_all_taken(tmp_path: Path) -> None:
    rows = [row | {"twin": row["correct"]} for row in results()]
    log = RewardLog(write_json_lines(tmp_path / "results.jsonl", rows))
    assert log.layout.reward_names == ["correct", "brief", "polite", "twin"]
