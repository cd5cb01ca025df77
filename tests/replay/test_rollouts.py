"""From a log to groups x rollouts, and what is no gold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from replay_logs import fooled, open_log, write

from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.replay.rollouts import read_rollouts, with_gold


def test_groups_of_different_sizes_are_padded_and_lone_rollouts_left_out(tmp_path: Path) -> None:
    columns = {"step": [0] * 6, "group": [0, 0, 1, 2, 2, 2], "a": [1, 2, 3, 4, 5, float("nan")], "b": [0] * 6}
    rollouts = read_rollouts(open_log(write(tmp_path / "log.csv", columns)))
    assert rollouts.lone == 1
    assert rollouts.exists.tolist() == [[True, True, False], [True, True, True]]
    np.testing.assert_array_equal(rollouts.rewards[..., 0], [[1, 2, np.nan], [4, 5, np.nan]])
    assert rollouts.usual_size == 2


def test_the_usual_size_is_the_most_common(tmp_path: Path) -> None:
    columns = {"step": [0] * 8, "group": [0, 0, 1, 1, 1, 2, 2, 2], "a": range(8), "b": range(8)}
    assert read_rollouts(open_log(write(tmp_path / "log.csv", columns))).usual_size == 3


def test_a_prompt_that_comes_again_at_another_step_is_the_same_prompt(tmp_path: Path) -> None:
    columns = {
        "step": [0, 0, 0, 0, 1, 1], "group": [0, 0, 1, 1, 0, 0], "prompt": ["p", "p", "q", "q", "q", "q"],
        "a": range(6), "b": range(6),
    }  # fmt: skip
    assert read_rollouts(open_log(write(tmp_path / "log.csv", columns))).prompts.tolist() == [0, 1, 1]
    del columns["prompt"]
    assert read_rollouts(open_log(write(tmp_path / "bare.csv", columns))).prompts.tolist() == [0, 1, 0]  # by the group


def test_steps_in_any_order_are_read(tmp_path: Path) -> None:
    columns = {"step": [1, 1, 0, 0, 1, 1], "group": [0, 0, 0, 0, 1, 1], "a": range(6), "b": range(6)}
    assert len(read_rollouts(open_log(write(tmp_path / "log.csv", columns))).exists) == 3


def test_one_rollout_per_prompt_is_refused(tmp_path: Path) -> None:
    columns = {"step": [0] * 4, "group": range(4), "a": range(4), "b": range(4)}
    with pytest.raises(DataFormatError, match=r"no prompt with two rollouts or more.*with `group`, or .*`group_size`"):
        read_rollouts(open_log(write(tmp_path / "log.csv", columns)))


def test_groups_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"step": [0] * 8, "group": [0, 0, 1, 1, 1, 1, 1, 1], "a": range(8), "b": range(8)}
    log = open_log(write(tmp_path / "log.csv", columns))
    monkeypatch.setattr("gd2po.replay.rollouts.MOST_PLACES", 12)
    assert len(read_rollouts(log).exists) == 2
    monkeypatch.setattr("gd2po.replay.rollouts.MOST_PLACES", 11)
    with pytest.raises(DataFormatError, match="holds 2 groups, the largest of 6 rollouts, which is too much"):
        read_rollouts(log)


def test_the_gold_comes_last_and_is_not_among_what_is_learned(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(4))
    log, was_reward = with_gold(open_log(path), "quality")
    assert (log.layout.reward_names[-1], was_reward) == ("quality", True)
    assert log.layout.reward_names[:-1] == ["grader_a", "grader_b", "brief"]
    log, was_reward = with_gold(open_log(path, rewards=["grader_a"]), "quality")
    assert (log.layout.reward_names, was_reward) == (["grader_a", "quality"], False)


def test_a_gold_with_a_prefix_is_found_by_its_name(tmp_path: Path) -> None:
    columns = {"step": [0, 0], "group": [0, 0], "reward/a": [0, 1], "reward/b": [0, 1]}
    log, _ = with_gold(open_log(write(tmp_path / "log.csv", columns)), "a")
    assert log.layout.reward_columns == ["reward/b", "reward/a"]


def test_a_gold_that_is_learned_from_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(4))
    with pytest.raises(InvalidInputError, match="`gold` must not be learned from: 'brief' is among `rewards` too"):
        with_gold(open_log(path, rewards=["grader_a", "brief"]), "brief")


def test_an_unknown_gold_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="`gold` needs a column of .*got 'qualty'. Did you mean 'quality'?"):
        with_gold(open_log(write(tmp_path / "log.csv", fooled(4))), "qualty")


def test_a_gold_that_is_the_only_reward_leaves_nothing_to_learn_from(tmp_path: Path) -> None:
    columns = {"step": [0, 0], "group": [0, 0], "a": [0, 1]}
    with pytest.raises(InvalidInputError, match="`gold` is the only reward"):
        with_gold(open_log(write(tmp_path / "log.csv", columns)), "a")
