"""The plug-in inside the real verl: what it relies on, its numbers in the legacy trainer, and its errors."""

from __future__ import annotations

import inspect
import json
import logging
import subprocess
import sys
from importlib.metadata import entry_points, requires
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from host_metrics import metric_names
from verl_parts import (
    KEYS,
    REWARDS,
    TOKENS,
    data_proto,
    gd2po_config,
    legacy_trainer,
    per_rollout,
    run_with,
    verl_config,
    with_texts,
)

from gd2po import METHODS, advantages, gd2po_advantages
from gd2po.diagnosis import RewardLog
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.errors import ConfigError, InvalidInputError, MissingDependencyError, RewardFunctionError, RunFolderError

import verl.trainer.ppo.v1.utils as v1_utils  # isort: skip
from verl.trainer.ppo import core_algos, ray_trainer  # isort: skip
from verl.trainer.ppo.v1 import PPOTrainer, PPOTrainerSync, trainer_base  # isort: skip

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "advantages.json").read_text())
UIDS = ["a"] * 4 + ["b"] * 4


def advantages_of(config: Any, data: Any, **arguments: Any) -> torch.Tensor:
    data = ray_trainer.compute_advantage(data, adv_estimator="gd2po", config=config.algorithm, **arguments)
    assert torch.equal(data.batch["advantages"], data.batch["returns"])
    return per_rollout(data.batch["advantages"], data.batch["response_mask"])


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | environment,
    )


def test_verl_finds_the_plug_in_without_an_import_line() -> None:
    script = "import verl; from verl.trainer.ppo.core_algos import get_adv_estimator_fn as get; print(get('gd2po'))"
    result = run(script)
    assert "gd2po_estimator" in result.stdout, result.stderr
    assert [point.value for point in entry_points(group="verl.plugins", name="gd2po")] == [
        "gd2po.integrations.verl.plugin"
    ]


def test_the_seams_in_verl_are_where_the_plug_in_expects_them() -> None:
    original = inspect.unwrap(ray_trainer.compute_advantage)
    names = ["data", "adv_estimator", "gamma", "lam", "num_repeat", "norm_adv_by_std_in_grpo", "config"]
    assert list(inspect.signature(original).parameters) == names
    assert "adv_estimator_fn = core_algos.get_adv_estimator_fn(adv_estimator)" in inspect.getsource(original)
    assert 'adv_kwargs["index"] = data.non_tensor_batch["uid"]' in inspect.getsource(original)

    fit = inspect.getsource(ray_trainer.RayPPOTrainer.fit)
    assert "batch = compute_advantage(\n" in fit
    assert "num_repeat=self.config.actor_rollout_ref.rollout.n" in fit
    assert "metrics.update(compute_data_metrics(batch=batch, use_critic=self.use_critic))" in fit
    assert "batch.non_tensor_batch.update({k: np.array(v) for k, v in reward_extra_infos_dict.items()})" in fit

    v1 = inspect.unwrap(PPOTrainer._compute_advantage)
    assert list(inspect.signature(v1).parameters) == ["self", "batch", "metrics"]
    assert "data = compute_advantage_for_multi_trajectories(" in inspect.getsource(v1)
    assert "keys=batch.keys" in inspect.getsource(v1)
    several = inspect.getsource(v1_utils.compute_advantage_for_multi_trajectories)
    assert "if adv_estimator != core_algos.AdvantageEstimator.GRPO:\n        return compute_advantage(" in several
    assert next(iter(list(inspect.signature(inspect.unwrap(PPOTrainer.__init__)).parameters)[1:])) == "config"
    assert not any(name == "_compute_advantage" for name in vars(PPOTrainerSync))
    agent_loop = Path(inspect.getfile(trainer_base)).with_name("agent_loop_tq.py").read_text()
    assert 'keys.append(f"{uid}_{session_id}_{i}")' in agent_loop
    assert 'output.extra_fields["reward_extra_info"] = final_output.extra_fields["reward_extra_info"]' in agent_loop


def test_steps_tokenizer_and_tokens_in_verl_are_where_the_rollout_log_takes_them_from() -> None:
    legacy = ray_trainer.RayPPOTrainer
    fit = inspect.getsource(legacy.fit)
    assert "config=self.config.algorithm,\n" in fit
    assert "self.tokenizer = tokenizer\n" in inspect.getsource(inspect.unwrap(legacy.__init__))
    assert fit.index("self._load_checkpoint()") < fit.index("self.global_steps += 1") < fit.index("compute_advantage(")
    assert 'self.tokenizer.batch_decode(batch.batch["prompts"], skip_special_tokens=True)' in inspect.getsource(legacy)
    assert "attention_mask" in inspect.getsource(ray_trainer.compute_response_mask)

    assert "self.tokenizer = model_config.tokenizer\n" in inspect.getsource(PPOTrainer._init_tokenizer)
    assert "self.global_steps = 0\n" in inspect.getsource(PPOTrainer._load_checkpoint)
    v1_fit = inspect.getsource(PPOTrainer.fit)
    assert v1_fit.index("self.global_steps += 1") < v1_fit.index("self.step(metrics")
    rows = inspect.getsource(PPOTrainer._log_rollout_data)
    assert 'fields = ["uid", "prompts", "responses", "rm_scores", "reward_model"]' in rows
    assert "self.tokenizer.decode(ids, skip_special_tokens=True)" in rows


def test_the_installed_requirement_states_the_range_that_the_plug_in_checks() -> None:
    from packaging.requirements import Requirement

    from gd2po.integrations.verl.plugin import SUPPORTED_VERL

    (needed,) = [Requirement(line) for line in requires("gd2po") or [] if Requirement(line).name == "verl"]
    assert str(needed.specifier) == str(Requirement(f"verl{SUPPORTED_VERL}").specifier)


@pytest.mark.parametrize("whitening", ["tokens", "none"])
def test_golden_values_come_out_of_verls_dispatch(whitening: str) -> None:
    options = {
        "gdpo": ["filtering=none", "query_reweighting=false"],
        "gd2po_hard": ["filtering=hard"],
        "gd2po_snr": ["filtering=snr"],
    }
    cases = [case for case in GOLDEN if case["method"] in options and case["whiten"] == whitening]
    assert len(cases) > 20
    for case in cases:
        keys = [f"reward_{k}" for k in range(len(case["rewards"][0]))]
        chosen = [*options[case["method"]], f"whitening={whitening}", f"scale_rewards={case['scale_by_std']}"]
        if case["method"] == "gd2po_snr":
            chosen += [f"snr_threshold={case['snr_threshold']}", f"snr_eps={case['snr_eps']}"]
        data = data_proto(case["rewards"], case["group_ids"], case["completion_lengths"], keys)
        found = advantages_of(gd2po_config(*chosen, keys=keys), data)
        torch.testing.assert_close(
            found.double(), torch.tensor(case["advantages"], dtype=torch.float64), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (["method=gd2po"], {}),
        (["whitening=tokens", "filtering=snr", "snr_threshold=0.3"], {"whitening": "tokens", "snr_threshold": 0.3}),
        (["snr_threshold=auto", "min_retained=0.5"], {"snr_threshold": "auto", "min_retained": 0.5}),
        (["method=gd2po", "reward_weights=[1,0.5,2]"], {"reward_weights": [1, 0.5, 2]}),
        (
            ["conflict_pairs=correlated", "min_correlation=0.1"],
            {"conflict_pairs": "correlated", "min_correlation": 0.1},
        ),
        (
            ["conflict_pairs=families", "reward_families={correctness:x,format:x}"],
            {"conflict_pairs": "families", "reward_families": ["x", "x", "length"]},
        ),
    ],
)
def test_every_option_reaches_the_core(options: list[str], keywords: dict[str, Any]) -> None:
    found = advantages_of(gd2po_config(*options), data_proto(REWARDS, UIDS, TOKENS), num_repeat=4)
    expected = gd2po_advantages(
        torch.tensor(REWARDS), torch.arange(8) // 4, token_counts=torch.tensor(TOKENS), **keywords
    ).advantages
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_section_takes_every_method(method: str) -> None:
    config, expected = run_with(method)
    found = advantages_of(config, data_proto(REWARDS, UIDS, TOKENS))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_trl_trainer_and_verl_give_the_same_advantages(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(completions: list[str], **kwargs: Any) -> list[float]:
        return [len(text) / 10 for text in completions]

    def vowels(completions: list[str], **kwargs: Any) -> list[float | None]:
        return [None if row % 7 == 0 else float(sum(map(text.count, "aeiou"))) for row, text in enumerate(completions)]

    trainer = make_trainer([long, vowels], max_steps=1, whitening="tokens", snr_threshold=0.6)
    seen: dict[str, Any] = {}

    def note(rewards: torch.Tensor, group_ids: torch.Tensor, result: Any, token_counts: torch.Tensor) -> None:
        seen.update(rewards=rewards, group_ids=group_ids, result=result, token_counts=token_counts)

    monkeypatch.setattr(trainer, "_record", note)
    trainer.train()
    data = data_proto(seen["rewards"], seen["group_ids"].tolist(), seen["token_counts"], ["long", "vowels"])
    found = advantages_of(gd2po_config("whitening=tokens", "snr_threshold=0.6", keys=["long", "vowels"]), data)
    assert 0 < seen["result"].keep_mask.sum() <= 16
    assert seen["rewards"].isnan().any()
    torch.testing.assert_close(found, seen["result"].advantages, rtol=1e-5, atol=1e-5)


def test_rows_may_come_in_any_order() -> None:
    order = [5, 0, 7, 2, 3, 6, 1, 4]
    data = data_proto(REWARDS, UIDS, TOKENS)
    straight = advantages_of(gd2po_config(), data_proto(REWARDS, UIDS, TOKENS))
    data.reorder(torch.tensor(order))
    torch.testing.assert_close(advantages_of(gd2po_config(), data), straight[order])


def test_metrics_land_in_verls_own_metrics_of_the_legacy_trainer() -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)
    advantages_of(gd2po_config("filtering=hard"), data)
    data.to_tensordict()  # the batch goes on to the workers this way, our metrics with it
    data.batch["prompts"] = torch.ones(8, 2, dtype=torch.int64)
    data.batch["responses"] = torch.ones(8, 6, dtype=torch.int64)
    data.batch["attention_mask"] = torch.ones(8, 8, dtype=torch.int64)
    metrics = ray_trainer.compute_data_metrics(batch=data, use_critic=False)
    assert metrics["conflict/snr_threshold"] == 1.0
    assert metrics["conflict/filtered_rate"] == metrics["conflict/rate"] > 0
    assert metrics["rewards/length/mean"] == pytest.approx(np.mean(REWARDS, axis=0)[2])
    ours = {name for name in metrics if name.startswith(("conflict/", "rewards/"))}
    assert ours == metric_names(KEYS) | {f"rewards/{key}/mean" for key in KEYS}
    assert "critic/advantages/mean" in metrics
    assert not data.meta_info


def test_a_trainer_hears_each_advice_once_in_its_run(caplog: pytest.LogCaptureFixture) -> None:
    constant = [[*scores[:2], 0.5] for scores in REWARDS]

    def said(trainer: Any, steps: int) -> int:
        caplog.clear()
        for _ in range(steps):
            advantages_of(trainer.config, data_proto(constant, UIDS, TOKENS))
        return sum("'length' was the same for all rollouts" in record.message for record in caplog.records)

    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.verl.plugin"):
        first, second = legacy_trainer(gd2po_config()), legacy_trainer(gd2po_config())
        assert said(first, WINDOW - 1) == 0
        assert said(second, 1) == 0
        assert said(first, 1) == 1
        assert said(first, WINDOW) == 0


def test_the_legacy_trainer_logs_the_rollouts_of_every_step(tokenizer: Any, tmp_path: Path) -> None:
    trainer = legacy_trainer(gd2po_config(f"log_folder={tmp_path}", "snr_threshold=0.5"), tokenizer)
    prompts = [f"Question {uid}?" for uid in UIDS]
    completions = [f"Answer {row}." if row else "" for row in range(8)]
    rewards = torch.tensor(REWARDS)
    rewards[2, 1] = float("nan")
    order = [5, 0, 7, 2, 3, 6, 1, 4]
    for _ in range(2):
        data = with_texts(data_proto(rewards, UIDS, TOKENS), tokenizer, prompts, completions)
        data.reorder(torch.tensor(order))
        computed = advantages_of(trainer.config, data, num_repeat=4)
        trainer.global_steps += 1
    log = pd.concat(map(pd.read_parquet, sorted((tmp_path / "rollouts").iterdir())))
    assert log["step"].tolist() == [1] * 8 + [2] * 8
    last = log[log["step"] == 2]
    assert last["prompt"].tolist() == [prompts[row] for row in order]
    assert last["completion"].tolist() == [completions[row] for row in order]
    assert last["completion_tokens"].tolist() == [TOKENS[row] for row in order]
    assert last["reward/length"].tolist() == pytest.approx([REWARDS[row][2] for row in order])
    assert last["reward/format"].isna().tolist() == [row == 2 for row in order]
    assert last["advantage"].tolist() == pytest.approx(computed.tolist(), abs=1e-6)
    assert last.groupby("group")["prompt"].nunique().tolist() == [1, 1]
    found = RewardLog(tmp_path)
    assert sum(len(chunk.rows) for chunk in found.chunks()) == 16
    assert found.run_settings["method"] == "gd2po"
    assert found.run_settings["options"]["snr_threshold"] == 0.5


def test_a_resumed_run_replaces_the_steps_that_it_repeats(tokenizer: Any, tmp_path: Path) -> None:
    config = gd2po_config(f"log_folder={tmp_path}")

    def run(*steps: int) -> None:
        trainer = legacy_trainer(config, tokenizer)
        for step in steps:
            trainer.global_steps = step  # verl reads it from the checkpoint
            data = with_texts(data_proto(REWARDS, UIDS, TOKENS), tokenizer, UIDS, UIDS)
            advantages_of(trainer.config, data, num_repeat=4)

    run(1, 2, 3, 4)
    run(3)
    names = sorted(path.name for path in (tmp_path / "rollouts").iterdir())
    assert names == [f"step_00000{step}.parquet" for step in (1, 2, 3)]
    with pytest.raises(RunFolderError, match="holds the rollouts of another run"):
        run(1)


RAMP = "{schedule:linear,start:0,end:2,steps:3}"


def test_weights_that_move_are_those_of_the_trainers_step() -> None:
    trainer = legacy_trainer(gd2po_config("method=gdpo", f"reward_weights=[1,1,{RAMP[:-1]},hold:true}}]"))
    for step, weight in ((1, 0.0), (2, 1.0), (3, 2.0)):
        trainer.global_steps = step
        found = advantages_of(trainer.config, data_proto(REWARDS, UIDS, TOKENS))
        expected = advantages(
            torch.tensor(REWARDS), torch.arange(8) // 4, method="gdpo", reward_weights=[1, 1, weight]
        ).advantages
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_weights_that_move_need_a_trainer_to_know_the_step() -> None:
    with pytest.raises(ConfigError, match=r"`algorithm.gd2po.reward_weights` that move .* need verl's RayPPOTrainer"):
        advantages_of(gd2po_config(f"reward_weights=[1,1,{RAMP}]"), data_proto(REWARDS, UIDS, TOKENS))


def test_a_trainer_refuses_a_schedule_that_ends_before_its_steps() -> None:
    with pytest.raises(ConfigError, match=r"reward_weights\[2\]` ends at step 3, and the run has \d+ steps"):
        legacy_trainer(gd2po_config(f"reward_weights=[1,1,{RAMP}]"))


def test_conditions_hold_rewards_back() -> None:
    rewards = torch.tensor(REWARDS)
    rewards[rewards[:, 0] < 0.5, 2] = 0.0
    conditions = "[{reward:length,on:correctness,threshold:0.5}]"
    config = gd2po_config("method=gd2po", f"reward_conditions={conditions}")
    found = advantages_of(config, data_proto(REWARDS, UIDS, TOKENS))
    torch.testing.assert_close(found, gd2po_advantages(rewards, torch.arange(8) // 4).advantages, rtol=1e-5, atol=1e-5)


def test_a_log_of_a_loop_without_a_trainer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`algorithm.gd2po.log_folder` needs verl's RayPPOTrainer"):
        advantages_of(gd2po_config(f"log_folder={tmp_path}"), data_proto(REWARDS, UIDS, TOKENS))


def test_other_estimators_are_left_alone() -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)
    data.batch["token_level_rewards"][:, 0] = torch.tensor(REWARDS).sum(1)
    expected = inspect.unwrap(ray_trainer.compute_advantage)(data, adv_estimator="grpo").batch["advantages"].clone()
    found = ray_trainer.compute_advantage(data, adv_estimator="grpo", num_repeat=4, config=verl_config().algorithm)
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(found.batch["advantages"], expected)
    assert not found.meta_info


def test_nan_and_none_say_that_a_reward_does_not_apply() -> None:
    rewards = torch.tensor(REWARDS)
    rewards[2, 1] = rewards[5, 1] = float("nan")
    data = data_proto(rewards, UIDS, TOKENS)
    data.non_tensor_batch["format"] = np.array([None if np.isnan(x) else x for x in rewards[:, 1].tolist()])
    found = advantages_of(gd2po_config("method=gd2po"), data)
    torch.testing.assert_close(found, gd2po_advantages(rewards, torch.arange(8) // 4).advantages)


def test_a_missing_reward_names_those_there_are() -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)
    del data.non_tensor_batch["format"]
    with pytest.raises(InvalidInputError, match="no reward 'format', it has: correctness, length, uid"):
        advantages_of(gd2po_config(), data)


@pytest.mark.parametrize("bad", [float("inf"), "1.0", [1.0, 2.0]])
def test_a_reward_that_is_no_finite_number_names_its_row(bad: Any) -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)
    column = np.empty(8, dtype=object)
    column[:] = [1.0] * 8
    column[6] = bad
    data.non_tensor_batch["format"] = column
    with pytest.raises(RewardFunctionError, match=r"Row 6 \(uid b\): reward 'format' must be a finite number"):
        advantages_of(gd2po_config(), data)


def test_rewards_of_different_lengths_are_refused() -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)
    data.non_tensor_batch["format"] = np.ones(7)
    with pytest.raises(InvalidInputError, match="'format' needs one score per sample: expected 8, got 7"):
        advantages_of(gd2po_config(), data)


def test_a_group_spread_over_batches_is_refused() -> None:
    data = data_proto(REWARDS, UIDS, TOKENS)[:6]
    with pytest.raises(InvalidInputError, match="Group b has 2 of its 4 rollouts in this batch"):
        advantages_of(gd2po_config(), data, num_repeat=4)


def test_one_rollout_per_prompt_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(InvalidInputError, match=r"set actor_rollout_ref.rollout.n to 2 or more"):
        advantages_of(gd2po_config(), data_proto(REWARDS, range(8), TOKENS), num_repeat=1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+algorithm.gd2po.filterin=hard"], "`algorithm.gd2po` has no key 'filterin'. Did you mean 'filtering'?"),
        (["+algorithm.gd2po.method=gdop"], "`algorithm.gd2po.method` must be one of"),
        (["+algorithm.gd2po.method=gdop"], "got 'gdop'. Did you mean 'gdpo'?"),
        (["+algorithm.gd2po.method=gdpo", "+algorithm.gd2po.filtering=hard"], "has no key 'filtering'"),
        (["+algorithm.gd2po.log_dir=x"], "`algorithm.gd2po` has no key 'log_dir'"),
        (["+algorithm.gd2po.reward_weights=[1]"], "`algorithm.gd2po.reward_weights` needs one weight per reward"),
        (["+algorithm.gd2po.snr_threshold=2"], "`snr_threshold` must be a number in [0, 1] or 'auto': got 2"),
        (["algorithm.use_kl_in_reward=true"], "`algorithm.use_kl_in_reward` changes the summed reward"),
        (["algorithm.norm_adv_by_std_in_grpo=false"], "set +algorithm.gd2po.scale_rewards=false"),
        (["+algorithm.gdpo_reward_keys=[a]"], "set +algorithm.gd2po.reward_keys instead"),
        (["actor_rollout_ref.rollout.n=1"], "`actor_rollout_ref.rollout.n` must be at least 2"),
    ],
)
def test_a_mistake_in_the_configuration_is_heard_when_the_trainer_is_made(overrides: list[str], message: str) -> None:
    config = verl_config(
        "actor_rollout_ref.rollout.n=4",
        "algorithm.adv_estimator=gd2po",
        "+algorithm.gd2po.reward_keys=[a,b]",
        *overrides,
    )
    for make in (PPOTrainerSync, lambda config: ray_trainer.RayPPOTrainer(config, None, {}, None)):
        with pytest.raises(ConfigError) as caught:
            make(config)
        assert message in str(caught.value)


def test_missing_reward_keys_are_named() -> None:
    config = verl_config("algorithm.adv_estimator=gd2po", "actor_rollout_ref.rollout.n=4")
    with pytest.raises(ConfigError, match=r"`algorithm.gd2po.reward_keys` must list the components"):
        PPOTrainerSync(config)


def test_a_trainer_that_hands_over_nothing_is_told_apart() -> None:
    with pytest.raises(InvalidInputError, match="got no reward components from this trainer"):
        core_algos.get_adv_estimator_fn("gd2po")(
            token_level_rewards=torch.zeros(2, 3), response_mask=torch.ones(2, 3), index=np.array(["a", "a"])
        )


def test_an_unsupported_verl_leaves_an_estimator_that_says_why() -> None:
    result = run(
        """
import verl
verl.__version__ = "0.8.0"
try:
    import gd2po.integrations.verl.plugin
except ImportError as error:
    print("import:", error)
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
try:
    get_adv_estimator_fn("gd2po")(token_level_rewards=None, response_mask=None)
except ImportError as error:
    print("use:", error)
""",
        VERL_USE_EXTERNAL_PLUGINS="none",
    )
    lines = result.stdout.splitlines()
    assert "import: gd2po works with verl >=0.9.1,<0.9.2 and found 0.8.0: pip install 'verl>=0.9.1,<0.9.2'." in lines
    assert any(line.startswith("use: The verl plug-in of gd2po could not be loaded") for line in lines), result.stderr


def test_an_unsupported_verl_is_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    import gd2po.integrations.verl.plugin as plug_in

    monkeypatch.setattr(plug_in, "verl_version", "1.0.0")
    with pytest.raises(MissingDependencyError, match=r"verl >=0.9.1,<0.9.2 and found 1.0.0"):
        plug_in._install()
