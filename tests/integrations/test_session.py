"""What a host does with a batch, without a host."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from host_metrics import metric_names, needed_options

from gd2po.core import METHODS, Setting, gdpo_advantages
from gd2po.core.agreement import Agreement
from gd2po.core.tails import tail_weight
from gd2po.diagnosis import RewardLog
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.errors import ConfigError
from gd2po.integrations.session import Session
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights

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
    run = session(method="gdpo")
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS))
    said = [run.advice(metrics, REWARDS, GROUP_IDS, TOKENS) for _ in range(2 * WINDOW)]
    assert not any(said[: WINDOW - 1])
    assert any("'polite' was the same for all rollouts" in text for text in said[WINDOW - 1])
    assert not any(said[WINDOW:])


def test_a_run_that_looks_for_its_threshold_is_not_told_to_look_for_it() -> None:
    run = session(snr_threshold="auto", min_retained=0.2)
    starved = {"conflict/retained/correct": 0.3, "conflict/retained_negative/correct": 0.3}
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS)) | starved
    said = [text for _ in range(WINDOW) for text in run.advice(metrics, REWARDS, GROUP_IDS, TOKENS)]
    (advice,) = [text for text in said if "so the reward has little say" in text]
    assert "raise min_retained" in advice


def test_what_a_method_warns_of_is_said_once() -> None:
    run = session(method="dvao")
    metrics = run.metrics(REWARDS, GROUP_IDS, run.advantages(REWARDS, GROUP_IDS, TOKENS))
    (of_small_groups,) = run.advice(metrics, REWARDS, GROUP_IDS, TOKENS)
    assert "groups of 4 rollouts" in of_small_groups
    of_large_rewards = run.advice(metrics, 3 * REWARDS, GROUP_IDS, TOKENS)
    assert of_large_rewards
    assert all("[0, 1]" in text for text in of_large_rewards)
    assert run.advice(metrics, 3 * REWARDS, GROUP_IDS, TOKENS) == []


RAMP = {"schedule": "linear", "start": 1.0, "end": 3.0, "steps": 3}


def test_weights_that_move_are_those_of_the_step_everywhere(tmp_path: Path) -> None:
    weights = RewardWeights.of([1.0, RAMP, lambda step: 10.0 * step])
    run = Session(Setting.named("gdpo", "test"), NAMES, weights, tmp_path)
    for step, now in ((1, [1.0, 1.0, 10.0]), (3, [1.0, 3.0, 30.0])):
        assert run.start_step(step) == now
        result = run.advantages(REWARDS, GROUP_IDS, TOKENS)
        assert torch.equal(result.advantages, gdpo_advantages(REWARDS, GROUP_IDS, reward_weights=now).advantages)
        metrics = run.metrics(REWARDS, GROUP_IDS, result)
        assert [metrics[f"conflict/weight/{name}"] for name in NAMES] == now
        run.log(
            step,
            rewards=REWARDS,
            group_ids=GROUP_IDS,
            result=result,
            token_counts=TOKENS,
            prompts=["?"] * 4,
            completions=["!"] * 4,
        )
        table = pd.read_parquet(tmp_path / "rollouts" / f"step_{step:06d}.parquet")
        assert table[[f"weight/{name}" for name in NAMES]].to_numpy().tolist() == [now] * 4


def test_weights_that_move_need_the_step() -> None:
    run = Session(Setting.named("gdpo", "test"), NAMES, RewardWeights.of([1.0, RAMP, 1.0]))
    for _ in range(2):
        with pytest.raises(ConfigError, match="nobody has said which step this batch is for"):
            run.advantages(REWARDS, GROUP_IDS, TOKENS)
        run.start_step(2)
        run.advantages(REWARDS, GROUP_IDS, TOKENS)
        run.start_step(None)


def test_conditions_hold_rewards_back_before_the_method_and_the_log_keeps_them_as_given(tmp_path: Path) -> None:
    conditions = RewardConditions.of([{"reward": "short", "on": "correct", "threshold": 1.0}])
    run = Session(Setting.named("gdpo", "test"), NAMES, log_folder=tmp_path, reward_conditions=conditions)
    held_back = REWARDS.clone()
    held_back[1, 1] = 0.0  # correct is 0 there
    result = run.advantages(REWARDS, GROUP_IDS, TOKENS)
    assert torch.equal(result.advantages, gdpo_advantages(held_back, GROUP_IDS).advantages)
    assert run.metrics(REWARDS, GROUP_IDS, result)["conflict/rate"] == 0.25
    run.log(
        1, rewards=REWARDS, group_ids=GROUP_IDS, result=result, token_counts=TOKENS,
        prompts=["?"] * 4, completions=["!"] * 4,
    )  # fmt: skip
    assert pd.read_parquet(tmp_path / "rollouts")["reward/short"].tolist() == REWARDS[:, 1].tolist()
    assert RewardLog(tmp_path).run_settings["reward_conditions"] == conditions.plain()


def test_conditions_that_praise_are_said_once() -> None:
    conditions = RewardConditions.of([{"reward": "short", "on": "correct", "threshold": 1.0}])
    run = Session(Setting.named("gdpo", "test"), NAMES, reward_conditions=conditions)
    metrics = run.metrics(REWARDS - 1, GROUP_IDS, run.advantages(REWARDS - 1, GROUP_IDS, TOKENS))
    (said,) = run.advice(metrics, REWARDS - 1, GROUP_IDS, TOKENS)
    assert "failing the condition is praise" in said
    assert run.advice(metrics, REWARDS - 1, GROUP_IDS, TOKENS) == []


def test_families_reach_the_method_and_what_is_wrong_with_them_is_said_once() -> None:
    setting, families = Setting.named("gd2po-families", "test"), ["x", "x", "polite"]
    run = Session(setting, NAMES, reward_families=families)
    expected = setting.advantages(REWARDS, GROUP_IDS, reward_families=families)
    found = run.advantages(REWARDS, GROUP_IDS, TOKENS)
    assert found.keep_mask.tolist() == expected.keep_mask.tolist() == [False, False, True, True]
    tails = tail_weight(REWARDS, GROUP_IDS, families)
    assert set(run.metrics(REWARDS, GROUP_IDS, found)) == metric_names(NAMES) | {"conflict/tail/x"}
    assert run.metrics(REWARDS, GROUP_IDS, found)["conflict/tail/x"] == tails["x"]
    alone = session(filtering="hard", conflict_pairs="families")
    metrics = alone.metrics(REWARDS, GROUP_IDS, alone.advantages(REWARDS, GROUP_IDS, TOKENS))
    (said,) = alone.advice(metrics, REWARDS, GROUP_IDS, TOKENS)
    assert "every reward is a family of its own" in said
    assert alone.advice(metrics, REWARDS, GROUP_IDS, TOKENS) == []


def test_families_that_are_looked_for_are_found_by_the_training_batches_so_far() -> None:
    run = session(method="consensus", partners="correlated")
    batches = torch.rand(3, 4, 3, generator=torch.Generator().manual_seed(0))
    kept = None
    for rewards in batches:
        run.advantages(-rewards, GROUP_IDS, TOKENS, training=False)  # teaches nothing
        kept = Agreement.of(rewards, GROUP_IDS).after(kept)
        found = run.advantages(rewards, GROUP_IDS, TOKENS)
        expected = run.setting.advantages(rewards, GROUP_IDS, correlations=kept.correlation)
        assert torch.equal(found.advantages, expected.advantages)
        assert run.agreement is not None
        assert torch.equal(run.agreement.products, kept.products)
    declared = Session(Setting.named("consensus", "test"), NAMES, reward_families=["x", "x", "polite"])
    declared.advantages(batches[0], GROUP_IDS, TOKENS)
    assert declared.agreement is None


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


@pytest.mark.parametrize("name", ["", " ", "be\nbrief"])
def test_a_reward_that_no_log_could_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="The name of the reward .* logs and reports could not hold it"):
        Session(Setting.named("gdpo", "test"), ["correct", name])
