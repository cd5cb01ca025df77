"""The one thing to do: never against the verdict, and a command that `gd2po train` takes."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from log_fixtures import write_columns

from gd2po.diagnosis import ColumnChoices, Diagnosis, RewardLog, diagnose
from gd2po.report.wording import percent
from gd2po.runs.folder import write_config
from gd2po.training.arguments import ParsedRun, parse_run

Columns = dict[str, Any]
GROUPS, SIZE = 120, 8
TWO_GOALS = ["--reward_funcs", "rewards.quality", "rewards.brevity"]
ODD = "it's $(touch x)"


def columns(**rewards: np.ndarray) -> Columns:
    group = np.repeat(np.arange(GROUPS), SIZE).tolist()
    return {"step": [1] * GROUPS * SIZE, "group": group, **{name: one.tolist() for name, one in rewards.items()}}


@pytest.fixture
def normal() -> Callable[[], np.ndarray]:
    random = np.random.default_rng(0)
    return lambda: random.normal(size=GROUPS * SIZE)


@pytest.fixture
def trade_off(normal: Any) -> Columns:
    effort = normal()
    return columns(quality=effort + normal(), brevity=-effort + normal())


@pytest.fixture
def judges(normal: Any) -> Columns:
    """Two judges of one quality, one of which a kind of answer fools."""
    quality, asks = normal(), np.abs(normal()) > 1.9
    return columns(judge_a=quality + 0.3 * normal() + 8 * asks, judge_b=quality + 0.3 * normal())


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A run folder: its configuration as `gd2po train` writes it, and these rollouts."""

    def make(table: Columns, *fields: str) -> Path:
        folder = tmp_path / "my runs" / "one"
        named = {name if name in ("step", "group") else f"reward/{name}": cells for name, cells in table.items()}
        write_columns(named, folder / "rollouts" / "step_000001.parquet")
        required = ["--dataset_name", "x", "--model_name_or_path", "y", "--bf16", "false"]
        write_config(folder, parse_run([*required, *fields], str(folder)).resolved)
        return folder

    return make


def run_of(diagnosis: Diagnosis) -> ParsedRun:
    """What the command of the action would run."""
    words = shlex.split(diagnosis.action.command)
    assert words[:2] == ["gd2po", "train"]
    return parse_run(words[2:], "runs/x")


def test_a_trade_off_under_a_filter_is_trained_again_without_it(make_run: Any, trade_off: Columns) -> None:
    folder = make_run(trade_off, *TWO_GOALS, "--advantage_estimator", "gd2po", "--snr_threshold", "0.3")
    diagnosis = diagnose(RewardLog(folder))
    assert diagnosis.verdict.kind == "trade_off"
    assert diagnosis.action.title == "Train without the filter"
    share = next(method.filtered_rate for method in diagnosis.methods if method.name == "gd2po-snr 0.3")
    assert f"gd2po-snr 0.3 drops {percent(share)} of the rollouts" in diagnosis.action.text
    again = run_of(diagnosis)
    assert again.training.advantage_estimator == "gdpo"
    assert again.training.output_dir == f"{folder}-gdpo"
    assert again.run.reward_funcs == ["rewards.quality", "rewards.brevity"]


def test_a_trade_off_that_is_summed_is_left_to_the_weights_of_the_run(make_run: Any, trade_off: Columns) -> None:
    folder = make_run(trade_off, *TWO_GOALS, "--advantage_estimator", "gdpo", "--reward_weights", "1", "0.5")
    diagnosis = diagnose(RewardLog(folder))
    assert "quality or brevity" in diagnosis.action.title
    assert run_of(diagnosis).training.reward_weights == [1.0, 0.5]


def test_weights_of_some_of_the_rewards_make_no_command(make_run: Any, trade_off: Columns, normal: Any) -> None:
    folder = make_run({**trade_off, "third": normal().tolist()}, *TWO_GOALS, "rewards.third")
    diagnosis = diagnose(RewardLog(folder, ColumnChoices(rewards=["quality", "brevity"])))
    assert "quality or brevity" in diagnosis.action.title
    assert diagnosis.action.command is None


def test_a_fooled_judge_is_bounded_by_declaring_the_family(make_run: Any, judges: Columns) -> None:
    funcs = ["--reward_funcs", "rewards.judge_a", "rewards.judge_b"]
    diagnosis = diagnose(RewardLog(make_run(judges, *funcs, "--advantage_estimator", "gd2po", "--filtering", "hard")))
    assert diagnosis.verdict.kind == "blind_spot"
    assert diagnosis.action.title == "Declare the family: judge_a and judge_b"
    again = run_of(diagnosis).training
    assert (again.advantage_estimator, again.reward_families) == (
        "consensus",
        {"judge_a": "family_1", "judge_b": "family_1"},
    )


def test_a_declared_family_under_consensus_is_kept(make_run: Any, judges: Columns) -> None:
    funcs = ["--reward_funcs", "rewards.judge_a", "rewards.judge_b"]
    families = ["--reward_families", '{"judge_a": "help", "judge_b": "help"}']
    diagnosis = diagnose(RewardLog(make_run(judges, *funcs, *families, "--advantage_estimator", "consensus")))
    assert diagnosis.action.title == "Keep consensus, and read the rollouts below"
    assert diagnosis.action.command is None


def test_a_declared_family_under_another_method_is_trained_with_consensus(make_run: Any, judges: Columns) -> None:
    diagnosis = diagnose(
        RewardLog(make_run(judges, "--reward_funcs", "rewards.judge_a", "rewards.judge_b")),
        reward_families={"judge_a": "help", "judge_b": "help"},
    )
    assert run_of(diagnosis).training.reward_families == {"judge_a": "help", "judge_b": "help"}


def test_a_family_across_a_trade_off_is_to_be_taken_apart(write_log: Any, trade_off: Columns) -> None:
    families = {"quality": "one", "brevity": "one"}
    diagnosis = diagnose(RewardLog(write_log(trade_off)), reward_families=families)
    assert diagnosis.action.title == "Take quality and brevity out of one family"


def test_outside_of_a_run_folder_there_are_lines_for_a_configuration(write_log: Any, judges: Columns) -> None:
    odd = {ODD if name == "judge_a" else name: cells for name, cells in judges.items()}
    action = diagnose(RewardLog(write_log(odd), ColumnChoices(rewards=[ODD, "judge_b"]))).action
    assert action.command is None
    assert yaml.safe_load(action.configuration) == {
        "advantage_estimator": "consensus",
        "reward_families": {ODD: "family_1", "judge_b": "family_1"},
    }


def test_names_are_quoted_for_the_shell(make_run: Any, judges: Columns) -> None:
    odd = {ODD if name == "judge_a" else name: cells for name, cells in judges.items()}
    folder = make_run(odd, "--reward_funcs", "rewards.judge_a", "rewards.judge_b", "--advantage_estimator", "gdpo")
    words = shlex.split(diagnose(RewardLog(folder)).action.command)
    assert words[words.index("--config") + 1] == str(folder / "config.yaml")
    assert yaml.safe_load(words[words.index("--reward_families") + 1]) == {ODD: "family_1", "judge_b": "family_1"}


def test_light_errors_and_rare_conflicts_change_nothing(write_log: Any, normal: Any) -> None:
    quality = normal()
    light = columns(a=quality + 0.8 * normal(), b=quality + 0.8 * normal())
    rare = columns(a=quality, b=quality + 0.01 * normal())
    for kind, table in (("noise", light), ("no_conflict", rare)):
        diagnosis = diagnose(RewardLog(write_log(table)))
        assert (diagnosis.verdict.kind, diagnosis.action.title) == (kind, "Change nothing")
        assert (diagnosis.action.command, diagnosis.action.configuration) == (None, None)


def test_a_reward_that_teaches_nothing_is_repaired(make_run: Any, normal: Any, trade_off: Columns) -> None:
    quality, nothing = normal(), 0 * normal()
    dead = columns(a=quality, b=quality + 0.01 * normal(), never=nothing)
    blank = {**trade_off, "never": [None] * len(trade_off["quality"])}
    for table, words in ((dead, "never is dead"), (blank, "never never applied")):
        folder = make_run(table, *TWO_GOALS, "rewards.never")
        action = diagnose(RewardLog(folder)).action
        assert words in action.title
        assert shlex.split(action.command) == ["gd2po", "check-rewards", "--config", str(folder / "config.yaml")]


def test_no_action_is_a_threshold(make_run: Any, trade_off: Columns) -> None:
    for threshold in ("0.3", "0.32", "0.9"):
        folder = make_run(trade_off, *TWO_GOALS, "--advantage_estimator", "gd2po", "--snr_threshold", threshold)
        assert "snr_threshold" not in diagnose(RewardLog(folder)).action.command
