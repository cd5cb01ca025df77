"""The session of a trainer, on a stand-in that has what axolotl's and ms-swift's trainers have."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from host_metrics import metric_names

from gd2po import advantages
from gd2po.errors import ConfigError
from gd2po.integrations.trainer_session import TrainerSession

REWARDS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
GROUPS, TOKENS = torch.tensor([0, 0, 1, 1]), torch.tensor([3, 4, 5, 6])
TEXTS: dict[str, Any] = {"prompts": ["p", "p", "q", "q"], "completions": ["a", "b", "c", "d"]}


def trainer(**changed: Any) -> Any:
    values: dict[str, Any] = {
        "reward_func_names": ["correct", "short"],
        "reward_weights": torch.ones(2),
        "accelerator": SimpleNamespace(is_main_process=True),
        "state": SimpleNamespace(global_step=0),
        "args": SimpleNamespace(max_steps=10),
        "model": SimpleNamespace(training=True),
        "num_generations": 2,
        "num_generations_eval": 4,
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
    }
    return SimpleNamespace(**{**values, **changed})


def recorded(host: Any, section: Any) -> Any:
    """The advantages of the batch above, which is recorded."""
    session = TrainerSession(host, section, "gd2po")
    result = session.advantages(REWARDS, GROUPS, TOKENS)
    session.record(REWARDS, GROUPS, result, TOKENS, **TEXTS)
    return result


def test_rewards_are_the_trainers_and_metrics_go_among_its_own(tmp_path: Path) -> None:
    host = trainer()
    section = {"method": "gd2po", "filtering": "hard", "log_folder": str(tmp_path)}
    result = recorded(host, section)
    torch.testing.assert_close(
        result.advantages,
        advantages(REWARDS.double(), GROUPS, method="gd2po", filtering="hard").advantages,
        check_dtype=False,
    )
    assert host._metrics["train"].keys() == metric_names(["correct", "short"])
    assert all(len(values) == 1 for values in host._metrics["train"].values())
    assert pd.read_parquet(tmp_path / "rollouts")["completion"].tolist() == ["a", "b", "c", "d"]


def test_weights_of_the_trainer_are_those_of_the_method() -> None:
    result = recorded(trainer(reward_weights=torch.tensor([1.0, 0.5])), {"method": "gdpo"})
    expected = advantages(REWARDS, GROUPS, method="gdpo", reward_weights=[1.0, 0.5])
    torch.testing.assert_close(result.advantages, expected.advantages)


def test_weights_move_with_the_trainers_steps() -> None:
    schedule = {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 11}
    host = trainer(state=SimpleNamespace(global_step=5))
    recorded(host, {"method": "gdpo", "reward_weights": [1.0, schedule]})
    assert host._metrics["train"]["conflict/weight/short"] == [0.5]


def test_evaluation_has_its_own_groups_and_metrics_and_is_not_logged(tmp_path: Path) -> None:
    host = trainer(model=SimpleNamespace(training=False))
    recorded(host, {"log_folder": str(tmp_path)})
    assert host._metrics["eval"]
    assert not host._metrics["train"]
    assert not (tmp_path / "rollouts").exists()
    assert TrainerSession(host, None, "gd2po").group_size == 4


def test_only_the_main_process_logs_and_advises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    host = trainer(accelerator=SimpleNamespace(is_main_process=False))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            recorded(host, {"log_folder": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()
    assert not caplog.records


@pytest.mark.parametrize(
    ("changed", "section", "message"),
    [
        ({}, {"reward_keys": ["correct"]}, "`gd2po.reward_keys` is the engine's list of reward functions here"),
        ({"reward_weights": torch.tensor([1.0, 2.0])}, {"reward_weights": [1, 1]}, "Give the weights once"),
        ({"reward_func_names": ["same", "same"]}, {}, "Two rewards are called 'same'"),
        ({}, {"metod": "gdpo"}, "Did you mean 'method'"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainerSession(trainer(**changed), section, "gd2po")
