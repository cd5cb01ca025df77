"""A run with moving weights or conditions is looked at as it was, and what methods warn of is said."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from log_fixtures import write_json_lines
from rich.console import Console

from gd2po import gdpo_advantages
from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, diagnose, print_diagnosis, render_html
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights
from gd2po.runs.settings import describe_run


def write_run(folder: Path, steps: dict[int, list[float] | None], **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A rollout log of two rewards with the same rollouts at every step, and the weights of each; what it holds."""
    random = np.random.default_rng(5)
    rewards = torch.from_numpy(random.normal(size=(24, 2)).astype(np.float32))
    rewards[:, 0] = (rewards[:, 0] > 0).float()
    group_ids = torch.arange(24) // 4
    moving = RewardWeights.of([1.0, lambda step: 1.0])
    run = describe_run(Setting.named("gdpo", "test"), ["x", "y"], moving, settings.get("conditions"))
    log = RolloutLog(folder, run)
    for step, weights in steps.items():
        log.write(
            step, reward_names=["x", "y"], group_ids=group_ids, prompts=["p"] * 24, completions=["c"] * 24,
            rewards=rewards, result=gdpo_advantages(rewards, group_ids), token_counts=torch.ones(24).long(),
            reward_weights=weights,
        )  # fmt: skip
    return rewards, group_ids


def test_every_step_is_looked_at_with_the_weights_that_it_had(tmp_path: Path) -> None:
    weights = {1: [1.0, 0.0], 2: [1.0, 0.5], 3: [1.0, 1.0]}
    rewards, group_ids = write_run(tmp_path, dict(weights))
    diagnosis = diagnose(RewardLog(tmp_path))
    results = [gdpo_advantages(rewards, group_ids, reward_weights=one) for one in weights.values()]
    conflicts = torch.cat([result.conflict_mask for result in results])
    signal = torch.cat([r.reward_advantages * torch.tensor(w) for r, w in zip(results, weights.values(), strict=True)])
    assert diagnosis.overall.conflict_rate.value == pytest.approx(float(conflicts.double().mean()))
    expected = float(1 - signal.sum(1).abs().sum() / signal.abs().sum())
    assert diagnosis.overall.cancellation.value == pytest.approx(expected, abs=1e-6)
    assert [reward.weight for reward in diagnosis.rewards] == [1.0, 0.5]
    assert [reward.weight_range for reward in diagnosis.rewards] == [None, (0.0, 1.0)]
    own = next(method for method in diagnosis.methods if method.is_run)
    aligned = torch.cat([result.reward_advantages * result.advantages[:, None] for result in results]).mean(0)
    assert list(own.alignment.values()) == pytest.approx(aligned.tolist(), abs=1e-6)
    assert diagnosis.source.weights_origin == "run"
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out))
    assert "y (weight 0 to 1)" in out.getvalue()
    assert "weight 0 to 1" in render_html(diagnosis)


def test_weights_that_are_given_go_before_those_of_the_steps(tmp_path: Path) -> None:
    write_run(tmp_path, {1: [1.0, 0.0], 2: [1.0, 0.5]})
    diagnosis = diagnose(RewardLog(tmp_path), [1.0, 2.0])
    assert [(reward.weight, reward.weight_range) for reward in diagnosis.rewards] == [(1.0, None), (2.0, None)]
    assert diagnosis.source.weights_origin == "given"


def test_steps_that_do_not_say_their_weights_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "some", {1: [1.0, 0.0], 2: None})
    notes = " ".join(diagnose(RewardLog(tmp_path / "some")).source.notes)
    assert "1 step does not say which weights the rewards had" in notes
    write_run(tmp_path / "none", {1: None, 2: None})
    diagnosis = diagnose(RewardLog(tmp_path / "none"))
    assert "The weights of the rewards moved over the steps, and the log does not say how" in " ".join(
        diagnosis.source.notes
    )
    assert diagnosis.source.weights_origin == "assumed"


def test_a_conditioned_run_is_looked_at_as_its_method_saw_it_and_its_columns_stay_raw(tmp_path: Path) -> None:
    conditions = RewardConditions.of([{"reward": "y", "on": "x", "threshold": 1.0, "otherwise": -9.0}])
    rewards, group_ids = write_run(tmp_path, {1: None}, conditions=conditions)
    diagnosis = diagnose(RewardLog(tmp_path), [1.0, 1.0])
    seen = conditions.apply(rewards, ["x", "y"])
    result = gdpo_advantages(seen, group_ids)
    assert diagnosis.overall.conflict_rate.value == pytest.approx(float(result.conflict_mask.double().mean()))
    raw = gdpo_advantages(rewards, group_ids)
    assert diagnosis.overall.conflict_rate.value != pytest.approx(float(raw.conflict_mask.double().mean()))
    y = diagnosis.rewards[1]
    assert y.mean == pytest.approx(float(rewards[:, 1].mean()), abs=1e-6)
    assert y.lowest == pytest.approx(float(rewards[:, 1].min()))
    spread = [group.std().item() for group in seen[:, 1].reshape(-1, 4)]
    assert y.spread == pytest.approx(np.mean(spread), rel=1e-5)
    own = next(method for method in diagnosis.methods if method.is_run)
    assert own.alignment["y"] == pytest.approx(
        float((result.reward_advantages[:, 1] * result.advantages).mean()), abs=1e-6
    )
    assert diagnosis.source.run.reward_conditions == conditions.plain()
    assert "y counts where x is at least 1, and is -9 elsewhere. Columns of rewards are raw" in " ".join(
        diagnosis.source.notes
    )
    assert [row.origin for row in diagnosis.conditions] == ["none", "run"]
    shown = diagnosis.prompts[0].rollouts if diagnosis.prompts else []
    assert all(rollout.rewards[1] != -9 for rollout in shown)


def test_what_methods_warn_of_is_said_once_under_their_table(tmp_path: Path) -> None:
    columns = {
        "step": [1] * 8 + [2] * 8,
        "group": [0] * 8 + [1] * 8,
        "x": [float(n) for n in range(16)],
        "y": [None, -1.0] * 8,
    }
    path = tmp_path / "log.jsonl"
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    write_json_lines(path, rows)
    diagnosis = diagnose(RewardLog(path), setting=Setting.named("dvao", "test"))
    warnings = {method.name: method.warnings for method in diagnosis.methods}
    assert [text.split(" leaves")[0] for text in warnings["dvao"]] == ["dvao: x", "dvao: y"]
    assert warnings["gdpo"] == []
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out))
    said = " ".join(out.getvalue().split())
    page = render_html(diagnosis)
    for text in (said, page):
        assert text.count("dvao: x leaves [0, 1]") == 1
        assert text.count("grpo: y does not apply to some rollouts, which counts as 0") == 1
