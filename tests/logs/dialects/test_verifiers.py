"""Episodes that verifiers wrote (data/sums.py), as they are and as prime-rl lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, json_lines, read, write_json_lines

from gd2po.diagnosis import RewardLog, diagnose
from gd2po.errors import DataFormatError

TRACES = Path(__file__).parents[1] / "data" / "verifiers" / "traces.jsonl"
EPISODES = json_lines(TRACES)


def copy(**changes: Any) -> list[dict[str, Any]]:
    """The episodes, each with some keys of its own."""
    return [json.loads(json.dumps(episode | changes)) for episode in EPISODES]


@pytest.mark.parametrize("traces", [TRACES, TRACES.with_name("traces_3.jsonl")], ids=["0.4", "0.3"])
def test_an_evaluation_of_verifiers_is_read(traces: Path) -> None:
    log = RewardLog(traces)
    assert log.layout.format == "verifiers"
    assert log.layout.reward_names == ["brief", "correct"]  # letters is a metric
    expected = [[[1 / 14, 1], [1 / 8, 0], [1 / 45, 0]], [[1 / 2, 1], [1 / 21, 0], [1 / 14, 0]]]
    assert np.allclose(group_rewards(log), expected)
    rows = read(log)
    assert rows.steps.tolist() == [0] * 6
    assert rows.lengths.tolist() == [4, 3, 8, 1, 5, 4]
    assert log.texts([0])[0] == ("Add.\n1 + 1?", "The sum is 2.")
    assert log.place(int(rows.places[3])) == f"{traces} line 4"
    assert log.step_weights == {0: (0.5, 1.0)}
    assert diagnose(log).source.weights_origin == "run"


def test_a_run_of_prime_rl_is_read_step_by_step(tmp_path: Path) -> None:
    for step in (9, 10):
        episodes = [
            episode | {"group": {"id": f"group {number % 2}"}, "run": {"type": "train", "work": {"step": step - 1}}}
            for number, episode in enumerate(copy())
        ]
        folder = tmp_path / "run" / "rollouts" / f"step_{step}"
        write_json_lines(folder / "train" / "effective" / "traces.jsonl", episodes)
        write_json_lines(folder / "train" / "all" / "traces.jsonl", episodes * 2)
        write_json_lines(folder / "eval" / "effective" / "traces.jsonl", episodes)
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 9, "reward/all/mean": 0.5}\n')
    for source in (tmp_path / "run", tmp_path / "run" / "rollouts"):
        log = RewardLog(source)
        assert read(log).steps.tolist() == [9] * 6 + [10] * 6
        assert [len(group) for group in group_rewards(log)] == [3] * 4
    assert len(read(RewardLog(str(tmp_path / "run" / "rollouts" / "step_*" / "train" / "all" / "*.jsonl")))) == 24


def test_an_episode_without_a_folder_of_its_step_has_that_at_which_it_was_sent_out(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "traces.jsonl", copy(run={"type": "train", "work": {"step": 4}}))
    assert set(read(RewardLog(path)).steps.tolist()) == {4}


def test_only_the_agents_that_train_count_each_in_groups_of_its_own(tmp_path: Path) -> None:
    episodes = copy()
    for episode in episodes:
        (trace,) = episode["traces"]
        others = [trace | {"agent": trace["agent"] | agent} for agent in ({"name": "b"}, {"trainable": False})]
        episode["traces"] += others
    groups = group_rewards(RewardLog(write_json_lines(tmp_path / "traces.jsonl", episodes)))
    assert [len(group) for group in groups] == [3] * 4


def test_traces_of_verifiers_2_are_read_times_their_weights_which_are_not_written() -> None:
    log = RewardLog(TRACES.with_name("traces_2.jsonl"))
    assert log.layout.format == "verifiers"
    assert log.layout.reward_names == ["brief", "correct"]
    halved = [
        [[1 / 28, 1], [1 / 16, 0], [1 / 90, 0]],
        [[1 / 4, 1], [1 / 42, 0], [1 / 28, 0]],
    ]
    assert np.allclose(group_rewards(log), halved)
    assert read(log).lengths.tolist() == [4, 3, 8, 1, 5, 4]
    assert log.texts([0])[0] == ("Add.\n1 + 1?", "The sum is 2.")
    assert "logs each reward times its weight, and not the weight" in " ".join(log.notes())
    assert diagnose(log).source.weights_origin == "assumed"


def test_a_trace_of_verifiers_2_has_the_step_of_its_run(tmp_path: Path) -> None:
    traces = [trace | {"run": {"type": "train", "step": 7}} for trace in json_lines(TRACES.with_name("traces_2.jsonl"))]
    assert set(read(RewardLog(write_json_lines(tmp_path / "traces.jsonl", traces))).steps.tolist()) == {7}


def test_a_reward_that_was_not_scored_does_not_apply(tmp_path: Path) -> None:
    episodes = copy()
    episodes[2]["traces"][0]["rewards"] = {}
    episodes[3]["traces"] = []  # an episode that failed before its first message
    episodes[4]["traces"][0]["rewards"]["brief"] = None
    rewards = read(RewardLog(write_json_lines(tmp_path / "traces.jsonl", episodes))).rewards
    assert np.isnan(rewards).sum(axis=0).tolist() == [2, 1]
    assert len(rewards) == 5


def test_a_line_that_is_cut_off_or_foreign_is_a_bad_row(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "traces.jsonl", copy())
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataFormatError, match="traces.jsonl line 6: not a line as those before"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 5
    assert any("1 malformed row was skipped" in note for note in log.notes())
