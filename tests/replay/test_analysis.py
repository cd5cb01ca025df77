"""From a log to a replay: what is found where the truth is known, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay_logs import fooled, open_log, write

from gd2po.core import Setting
from gd2po.errors import ConfigError, DataFormatError, InvalidInputError
from gd2po.replay import MethodOnGold, Replay, replay
from gd2po.replay.analysis import _between

LABELS = ("gdpo", "gd2po-hard", "rvpo")
SETTINGS = [Setting.named(label, "test") for label in LABELS]


def replayed(path: Path, gold: str | None = "quality", rates: Any = (1.0,), **choices: Any) -> Replay:
    return replay(open_log(path, **choices), gold, settings=SETTINGS, learning_rates=rates)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    path = write(tmp_path_factory.mktemp("log") / "log.csv", fooled(150))
    return replayed(path, rates=(0.3, 1.0), rewards=["grader_a", "grader_b"])


def by_label(result: Replay, gold: int = 0) -> dict[str, MethodOnGold]:
    return {method.label: method for method in result.golds[gold].methods}


def test_graders_that_are_fooled_apart_are_outwitted_by_those_who_look_at_both(result: Replay) -> None:
    methods = by_label(result)
    assert methods["gdpo"].difference is None
    for label in ("gd2po-hard", "rvpo"):
        difference = methods[label].difference
        assert difference is not None
        assert difference.value > 0.01
        assert difference.beyond_noise


def test_the_numbers_are_those_of_the_chosen_rate(result: Replay) -> None:
    assert result.learning_rates == [0.3, 1.0]
    for method in result.golds[0].methods:
        assert max(method.final_by_learning_rate.values()) == pytest.approx(method.gain.value)
        assert method.final_by_learning_rate[f"{method.learning_rate:g}"] == pytest.approx(method.gain.value)
        assert method.at_edge
        assert method.gain_curve[-1].value == pytest.approx(method.gain.value)
        assert method.gain_curve[0].value == 0
        assert method.kl_curve[-1] == pytest.approx(method.kl)
        assert len(method.kl_curve) == result.steps + 1


def test_methods_are_compared_where_they_are_as_far_from_the_logged_policy(result: Replay) -> None:
    baseline, hard = by_label(result)["gdpo"], by_label(result)["gd2po-hard"]
    for distance in ("0.1", "0.3", "1"):
        there, here = baseline.at_distance[distance], hard.at_distance[distance]
        assert there is not None
        assert here is not None
        assert there.difference is None
        assert here.difference is not None
        assert here.difference.value == pytest.approx(here.gain.value - there.gain.value)


def test_a_distance_is_found_on_the_line_between_two_steps() -> None:
    kl, gains = np.array([0.0, 0.2, 0.6]), np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 2.0]])
    found = _between(kl, gains, 0.3)
    assert found is not None
    assert found.tolist() == pytest.approx([1.5, 2.0])
    assert _between(kl, gains, 0.7) is None


def test_a_distance_that_no_rate_reaches_is_none(tmp_path: Path) -> None:
    short = replayed(write(tmp_path / "log.csv", fooled(20)), rates=(0.01,))
    assert by_label(short)["gdpo"].at_distance == {"0.1": None, "0.3": None, "1": None}


def test_without_gold_each_reward_is_held_out_in_turn(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(20))
    result = replayed(path, gold=None, rewards=["grader_a", "grader_b", "brief"])
    assert result.held_out
    assert [(gold.gold, gold.rewards) for gold in result.golds] == [
        ("grader_a", ["grader_b", "brief"]),
        ("grader_b", ["grader_a", "brief"]),
        ("brief", ["grader_a", "grader_b"]),
    ]


def test_weights_are_by_name_or_one_per_reward_and_a_penalty_held_out_counts_downwards(tmp_path: Path) -> None:
    columns = {"step": [0] * 20, "group": np.arange(20) // 2, "a": [0.0, 1.0] * 10, "penalty": [1.0, 0.0] * 10}
    log = open_log(write(tmp_path / "log.csv", columns))
    result = replay(log, settings=SETTINGS[:1], reward_weights={"penalty": -1.0}, learning_rates=[3.0])
    assert [gold.reward_weights for gold in result.golds] == [[-1.0], [1.0]]
    penalty = result.golds[1]
    assert penalty.logged.value == -0.5
    assert penalty.methods[0].gain.value == pytest.approx(0.5, abs=0.05)


def test_the_weights_of_the_run_are_taken_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    write(tmp_path / "rollouts" / "log.csv", fooled(10))
    config = "advantage_estimator: gdpo\nreward_funcs: [grader_a, grader_b, brief]\nreward_weights: [1.0, 2.0, 0.5]\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    log = open_log(tmp_path)
    result = replay(log, "quality", settings=SETTINGS[:1], learning_rates=[1.0])
    assert result.golds[0].reward_weights == [1.0, 2.0, 0.5]


def test_weights_that_move_and_conditions_are_said_not_to_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    write(tmp_path / "rollouts" / "log.csv", fooled(10))
    config = (
        "advantage_estimator: gdpo\nreward_funcs: [grader_a, grader_b, brief]\n"
        "reward_weights: [1.0, {0: 1.0, 10: 0.0}, 1.0]\n"
        'reward_conditions: [{reward: brief, "on": grader_a, threshold: 0.5}]\n'
    )
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    notes = replay(open_log(tmp_path), "quality", settings=SETTINGS[:1], learning_rates=[1.0]).notes
    assert any("weights of the run move over its steps; the replay has 1 for each reward" in note for note in notes)
    assert any("puts conditions on rewards; the replay takes every reward as it was logged" in note for note in notes)


def test_families_are_given_by_name_or_those_of_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(30))
    settings = [Setting.named(label, "test") for label in ("gdpo", "gd2po-hard", "gd2po-families")]
    families = {"grader_a": "quality", "grader_b": "quality"}
    options: dict[str, Any] = {"settings": settings, "learning_rates": [1.0], "reward_families": families}
    result = by_label(replay(open_log(path), "quality", **options))
    # Brevity is no family of the graders: its conflicts with them count for the one and not for the other.
    assert result["gd2po-families"].gain != result["gd2po-hard"].gain
    only = by_label(replay(open_log(path, rewards=["grader_a", "grader_b"]), "quality", **options))
    assert only["gd2po-families"].gain == only["gd2po-hard"].gain
    with pytest.raises(ConfigError, match="'grader_x'"):
        replay(open_log(path), "quality", **{**options, "reward_families": {"grader_x": "quality"}})


def test_few_labels_are_counted_and_prompts_with_one_show_nothing(tmp_path: Path) -> None:
    columns = fooled(40)
    label = columns["quality"].copy()
    label[6 * 12 :] = math.nan  # twelve prompts are labelled,
    label[1:6] = math.nan  # the first of them once
    result = replayed(
        write(tmp_path / "log.csv", {**columns, "label": label}), "label", rewards=["grader_a", "grader_b"]
    )
    gold = result.golds[0]
    assert (gold.labels, gold.labelled_prompts) == (66, 11)
    assert gold.methods[0].gain.low is not None
    assert result.rollouts == 240


def test_a_reward_that_tells_no_two_rollouts_of_a_prompt_apart_is_not_held_out(tmp_path: Path) -> None:
    columns = fooled(10)
    columns["rare"] = np.where(np.arange(60) % 6 == 0, columns["quality"], math.nan)
    path = write(tmp_path / "log.csv", columns)
    result = replayed(path, None, rewards=["grader_a", "grader_b", "rare"])
    assert [gold.gold for gold in result.golds] == ["grader_a", "grader_b"]
    assert [note for note in result.notes if note.startswith("rare is not held out")]


def test_a_label_that_tells_no_two_rollouts_of_a_prompt_apart_is_refused(tmp_path: Path) -> None:
    columns = fooled(10)
    label = np.where(np.arange(60) % 6 == 0, columns["quality"], math.nan)
    path = write(tmp_path / "log.csv", {**columns, "label": label})
    with pytest.raises(DataFormatError, match="'label' is known for fewer than two rollouts of every prompt"):
        replayed(path, "label", rewards=["grader_a", "grader_b"])


def test_a_gold_that_the_run_was_trained_on_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(10))
    assert any("the logged run was trained on it" in note for note in replayed(path, "brief").notes)
    assert not any("was trained on it" in note for note in replayed(path, rewards=["grader_a", "brief"]).notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "gdop"}, "`baseline` must be the label of a setting: got 'gdop'. Did you mean 'gdpo'?"),
        ({"learning_rates": []}, "`learning_rates` needs numbers above 0"),
        ({"learning_rates": [1.0, 0.0]}, "`learning_rates` needs numbers above 0"),
        ({"settings": [SETTINGS[0], SETTINGS[0]]}, "`settings` needs one or more of different labels"),
        ({"reward_weights": {"x": 1.0}}, "`reward_weights` names a reward 'x' that does not exist"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    log = open_log(write(tmp_path / "log.csv", fooled(4)))
    with pytest.raises((ConfigError, InvalidInputError), match=message):
        replay(log, "quality", **{"settings": SETTINGS, **options})


def test_one_reward_and_no_gold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has one reward.*Name a column that judges with `gold`"):
        replayed(write(tmp_path / "log.csv", fooled(4)), None, rewards=["brief"])


def test_the_same_log_gives_the_same_replay(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(12))
    assert replayed(path) == replayed(path)
