"""Episodes that verifiers wrote (data/sums.py), as they are and as prime-rl lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog, diagnose
from gd2po.errors import DataFormatError

TRACES = Path(__file__).parents[1] / "data" / "verifiers" / "traces.jsonl"
EPISODES: list[dict[str, Any]] = [json.loads(line) for line in TRACES.read_text(encoding="utf-8").splitlines()]


def copy(**changes: Any) -> list[dict[str, Any]]:
    """The episodes, each with some keys of its own."""
    return [json.loads(json.dumps(episode | changes)) for episode in EPISODES]


def write(path: Path, episodes: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(episode) + "\n" for episode in episodes), encoding="utf-8")
    return path


def test_an_evaluation_of_verifiers_is_read() -> None:
    log = RewardLog(TRACES)
    assert log.layout.format == "verifiers"
    assert log.layout.reward_names == ["brief", "correct"]  # letters is a metric
    expected = [[[1 / 14, 1], [1 / 8, 0], [1 / 45, 0]], [[1 / 2, 1], [1 / 21, 0], [1 / 14, 0]]]
    assert np.allclose(group_rewards(log), expected)
    rows = read(log)
    assert rows.steps.tolist() == [0] * 6
    assert rows.lengths.tolist() == [4, 3, 8, 1, 5, 4]
    assert log.texts([0])[0] == ("Add.\n1 + 1?", "The sum is 2.")
    assert log.place(int(rows.places[3])) == f"{TRACES} line 4"


def test_the_weights_of_the_rewards_are_those_of_the_run() -> None:
    log = RewardLog(TRACES)
    assert log.step_weights == {0: (0.5, 1.0)}
    assert diagnose(log).source.weights_origin == "run"


def test_a_run_of_prime_rl_is_read_step_by_step(tmp_path: Path) -> None:
    for step in (9, 10):
        episodes = [
            episode | {"group": {"id": f"group {number % 2}"}, "run": {"type": "train", "work": {"step": step - 1}}}
            for number, episode in enumerate(copy())
        ]
        folder = tmp_path / "run" / "rollouts" / f"step_{step}"
        write(folder / "train" / "effective" / "traces.jsonl", episodes)
        write(folder / "train" / "all" / "traces.jsonl", episodes * 2)
        write(folder / "eval" / "effective" / "traces.jsonl", episodes)
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 9, "reward/all/mean": 0.5}\n')
    for source in (tmp_path / "run", tmp_path / "run" / "rollouts"):
        log = RewardLog(source)
        assert read(log).steps.tolist() == [9] * 6 + [10] * 6
        assert [len(group) for group in group_rewards(log)] == [3] * 4
    assert len(read(RewardLog(str(tmp_path / "run" / "rollouts" / "step_*" / "train" / "all" / "*.jsonl")))) == 24


def test_an_episode_without_a_folder_of_its_step_has_that_at_which_it_was_sent_out(tmp_path: Path) -> None:
    path = write(tmp_path / "traces.jsonl", copy(run={"type": "train", "work": {"step": 4}}))
    assert set(read(RewardLog(path)).steps.tolist()) == {4}


def test_only_the_agents_that_train_count_each_in_groups_of_its_own(tmp_path: Path) -> None:
    episodes = copy()
    for episode in episodes:
        (trace,) = episode["traces"]
        others = [trace | {"agent": trace["agent"] | agent} for agent in ({"name": "b"}, {"trainable": False})]
        episode["traces"] += others
    groups = group_rewards(RewardLog(write(tmp_path / "traces.jsonl", episodes)))
    assert [len(group) for group in groups] == [3] * 4


def test_a_reward_that_was_not_scored_does_not_apply(tmp_path: Path) -> None:
    episodes = copy()
    episodes[2]["traces"][0]["rewards"] = {}
    episodes[3]["traces"] = []  # an episode that failed before its first message
    episodes[4]["traces"][0]["rewards"]["brief"] = None
    rewards = read(RewardLog(write(tmp_path / "traces.jsonl", episodes))).rewards
    assert np.isnan(rewards).sum(axis=0).tolist() == [2, 1]
    assert len(rewards) == 5


def test_a_line_that_is_cut_off_or_foreign_is_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path / "traces.jsonl", copy())
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataFormatError, match="traces.jsonl line 6: not a line as those before"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 5
    assert any("1 malformed row was skipped" in note for note in log.notes())
