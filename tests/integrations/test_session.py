"""What a host does with a batch, without a host."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from host_metrics import metric_names, needed_options

from gd2po.core import METHODS, Setting
from gd2po.diagnosis import RewardLog
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.integrations.session import Session

NAMES = ["correct", "short", "polite"]
REWARDS = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.0, 0.0, 0.5]])
GROUP_IDS = torch.zeros(4, dtype=torch.int64)
TOKENS = torch.tensor([3, 1, 4, 1])


def session(log_folder: Path | None = None, **values: object) -> Session:
    return Session(Setting.of(values, "test"), NAMES, log_folder=log_folder)


@pytest.mark.parametrize("method", METHODS)
def test_the_metrics_of_every_method_are_the_rows_of_metrics_and_the_threshold(method: str) -> None:
    run = session(method=method, **needed_options(method, 3))
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS))
    assert set(metrics) == metric_names(NAMES)


def test_advice_looks_back_over_the_batches_of_the_session_and_is_said_once() -> None:
    run = session()
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS))
    said = [run.advice(metrics, REWARDS, GROUP_IDS, TOKENS) for _ in range(2 * WINDOW)]
    assert not any(said[: WINDOW - 1])
    assert any("'polite' was the same for all rollouts" in text for text in said[WINDOW - 1])
    assert not any(said[WINDOW:])


def test_what_a_method_warns_of_is_said_once() -> None:
    run = session(method="dvao")
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS))
    (of_small_groups,) = run.advice(metrics, REWARDS, GROUP_IDS, TOKENS)
    assert "groups of 4 rollouts" in of_small_groups
    (warning,) = run.advice(metrics, 3 * REWARDS, GROUP_IDS, TOKENS)
    assert "[0, 1]" in warning
    assert run.advice(metrics, 3 * REWARDS, GROUP_IDS, TOKENS) == []


def test_a_session_without_a_folder_logs_nothing_and_with_one_what_a_diagnosis_reads(tmp_path: Path) -> None:
    for run in (session(), session(tmp_path / "run")):
        run.log(
            1,
            rewards=REWARDS,
            group_ids=GROUP_IDS,
            result=run.advantages(REWARDS, GROUP_IDS, TOKENS),
            token_counts=TOKENS,
            prompts=["Hello?"] * 4,
            completions=["a", "b", "c", "d"],
        )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    (chunk,) = RewardLog(tmp_path / "run").chunks()
    torch.testing.assert_close(torch.as_tensor(chunk.rows.rewards), REWARDS, check_dtype=False)
