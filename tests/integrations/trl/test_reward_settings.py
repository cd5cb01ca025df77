"""Weights that move and rewards with conditions, in a trainer that runs for real on a tiny model."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_runs import length, vowels
from trl import GRPOTrainer

from gd2po import GD2POConfig, GD2POTrainer, LinearSchedule, gdpo_advantages
from gd2po.errors import ConfigError, InvalidInputError
from gd2po.integrations.trl.reward_settings import reward_name
from gd2po.runs.reward_weights import RewardWeights

RAMP = {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 3}


def doubling(step: int) -> float:
    return 2.0**step


def rollouts(trainer: Any, step: int) -> pd.DataFrame:
    return pd.read_parquet(f"{trainer.args.output_dir}/rollouts/step_{step:06d}.parquet")


def rewards_of(log: pd.DataFrame) -> torch.Tensor:
    return torch.tensor(log[["reward/length", "reward/vowels"]].to_numpy(), dtype=torch.float32)


def config(tmp_path: Any, **settings: Any) -> GD2POConfig:
    return GD2POConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **settings)


def test_the_weights_of_each_step_make_advantages_metrics_log_and_the_sum_that_trl_logs(make_trainer: Any) -> None:
    trainer = make_trainer(
        [length, vowels], reward_weights=[LinearSchedule(1.0, 0.0, steps=3), doubling], max_steps=3, log_rollouts=True,
        advantage_estimator="gdpo",
    )  # fmt: skip
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "reward" in entry]
    for step, weights in enumerate([[1.0, 2.0], [0.5, 4.0], [0.0, 8.0]], start=1):
        log, entry = rollouts(trainer, step), entries[step - 1]
        assert log[["weight/length", "weight/vowels"]].drop_duplicates().to_numpy().tolist() == [weights]
        expected = gdpo_advantages(rewards_of(log), torch.tensor(log["group"].to_numpy()), reward_weights=weights)
        torch.testing.assert_close(torch.tensor(log["advantage"].to_numpy()), expected.advantages)
        assert [entry["conflict/weight/length"], entry["conflict/weight/vowels"]] == weights
        assert entry["reward"] == pytest.approx((rewards_of(log) @ torch.tensor(weights)).mean().item(), rel=1e-5)


def test_evaluation_uses_the_weights_of_the_last_step(make_trainer: Any, prompts: Any) -> None:
    trainer = make_trainer(
        [length, vowels], reward_weights=[1.0, {**RAMP, "steps": 2}], eval_dataset=prompts.select(range(4)),
        eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=8, eval_on_start=True,
    )  # fmt: skip
    trainer.train()
    found = [entry for entry in trainer.state.log_history if "eval_conflict/weight/vowels" in entry]
    assert [entry["eval_conflict/weight/vowels"] for entry in found] == [0.0, 0.0, 1.0]


def test_weights_by_name_are_those_in_the_order_of_the_rewards(make_trainer: Any, tmp_path: Any) -> None:
    def lost(step: int) -> float:
        return 0.25

    args = config(tmp_path, reward_weights={"vowels": lost})
    for funcs, weights in (([length, vowels], [1.0, 0.25]), ([vowels, length], [0.25, 1.0])):
        ordered = args.with_weights_in_order([func.__name__ for func in funcs])
        assert ordered.weights().at(1) == weights
        assert args.reward_weights == {"vowels": lost}  # another trainer may take it with other rewards
        assert ordered.to_dict()["reward_weights"] == RewardWeights.of(ordered.reward_weights).plain()
    trainer = make_trainer([length, vowels], reward_weights="vowels=0.5", log_rollouts=True, max_steps=1)
    assert trainer.reward_weights.tolist() == [1.0, 0.5]
    trainer.train()
    assert trainer.args.to_dict()["reward_weights"] == [1.0, 0.5]
    with pytest.raises(ConfigError, match="`reward_weights` names a reward 'vovels'.* Did you mean 'vowels'"):
        make_trainer([length, vowels], reward_weights={"vovels": 0.5})


def test_numbers_as_weights_stay_what_they_were(make_trainer: Any) -> None:
    trainer = make_trainer([length, vowels], reward_weights=[1.0, 0.5], log_rollouts=True, max_steps=1)
    assert trainer.reward_weights.tolist() == [1.0, 0.5]
    trainer.train()
    assert not [name for name in rollouts(trainer, 1) if name.startswith("weight/")]
    assert trainer.args.reward_weights == [1.0, 0.5]


def test_conditions_change_the_advantages_and_not_the_rewards_in_logs(make_trainer: Any) -> None:
    condition = {"reward": "vowels", "on": "length", "threshold": 3.4, "otherwise": -1.0}
    trainer = make_trainer(
        [length, vowels], reward_conditions=[condition], log_rollouts=True, advantage_estimator="gdpo", max_steps=1
    )
    trainer.train()
    log = rollouts(trainer, 1)
    rewards = rewards_of(log)
    fails = rewards[:, 0] < 3.4
    assert 0 < fails.sum() < len(fails)
    entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["rewards/vowels/mean"] == pytest.approx(rewards[:, 1].mean().item(), rel=1e-5)
    rewards[fails, 1] = -1.0
    expected = gdpo_advantages(rewards, torch.tensor(log["group"].to_numpy()))
    torch.testing.assert_close(torch.tensor(log["advantage"].to_numpy()), expected.advantages)


def test_checkpoints_and_trackers_get_plain_values(tmp_path: Any) -> None:
    made = config(tmp_path, reward_weights=[1.0, LinearSchedule(0.0, 1.0, steps=3, hold=True), lambda step: 1.0])
    plain = json.loads(made.to_json_string())["reward_weights"]
    assert plain[:2] == [1.0, {**RAMP, "hold": True}]
    assert plain[2].endswith("<lambda>")
    assert pickle.loads(pickle.dumps(made)).reward_weights == plain
    assert callable(made.reward_weights[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward_weights": [1.0, {**RAMP, "schedule": "liner"}]}, r"`reward_weights\[1\].schedule` .* mean 'linear'"),
        ({"reward_weights": [1.0, RAMP], "max_steps": 4}, r"`reward_weights\[1\]` ends at step 3, .* has 4 steps"),
        ({"reward_weights": [1.0, {**RAMP, "end": float("nan")}]}, r"`reward_weights\[1\]`: `end` must be a finite"),
        ({"reward_conditions": [{"reward": "a", "on": "a", "threshold": 1}]}, "must hold a reward back by another one"),
        ({"reward_conditions": '[{"reward": "a"'}, "`reward_conditions` needs a list like"),
    ],
)
def test_a_mistake_is_heard_with_the_configuration(tmp_path: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, InvalidInputError), match=message):
        config(tmp_path, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward_weights": [1.0]}, r"expected 2 \(length, vowels\), got 1"),
        (
            {"reward_conditions": [{"reward": "vowls", "on": "length", "threshold": 1}]},
            r"`reward_conditions\[0\].reward` names no reward of the run: got 'vowls'. Did you mean 'vowels'",
        ),
        (
            {"advantage_estimator": "saw", "reward_minima": [0, 0], "reward_weights": [1.0, {**RAMP, "end": -1.0}]},
            "`reward_weights`",
        ),
        ({"advantage_estimator": "saw", "reward_minima": [0, 0, 0]}, "`reward_minima` needs"),
    ],
)
def test_a_mistake_is_heard_before_a_model_is_loaded(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(GRPOTrainer, "__init__", lambda *args, **kwargs: pytest.fail("the trainer of TRL was made"))
    with pytest.raises((ConfigError, InvalidInputError), match=message):
        GD2POTrainer("no/such-model", [length, vowels], config(tmp_path, max_steps=2, **settings), train_dataset=[])


def test_a_schedule_that_ends_before_the_epochs_do_is_refused_before_the_first_step(make_trainer: Any) -> None:
    trainer = make_trainer([length, vowels], reward_weights=[1.0, RAMP], max_steps=-1, num_train_epochs=1)
    with pytest.raises(ConfigError, match=r"ends at step 3, and the run has 4 steps"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_rewards_have_the_names_that_trl_gives_them(make_trainer: Any) -> None:
    trainer = make_trainer([length, vowels])
    assert [reward_name(func) for func in (length, vowels)] == trainer.reward_func_names
    assert reward_name("hub/some-reward-model") == "some-reward-model"
    assert reward_name(trainer.model) == str(trainer.model.config._name_or_path).split("/")[-1]
