"""The trainer, run for real on a tiny model: its numbers, its logs, its errors, and what it relies on in TRL."""

from __future__ import annotations

import inspect
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_runs import length, vowels
from trl import GRPOConfig, GRPOTrainer

from gd2po import GD2POConfig, consensus_advantages, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.errors import ConfigError, InvalidInputError, InvalidTypeError, RewardFunctionError


def even_rows_only(completions: list[str], **kwargs: Any) -> list[float | None]:
    return [None if row % 2 else float(len(text)) for row, text in enumerate(completions)]


def constant(completions: list[str], **kwargs: Any) -> list[float]:
    return [1.0] * len(completions)


def logged(trainer: Any) -> list[dict[str, Any]]:
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def rollouts(trainer: Any) -> pd.DataFrame:
    return pd.read_parquet(f"{trainer.args.output_dir}/rollouts")


def capture_batches(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `_generate_and_score_completions` hands to the loss, with TRL's own advantages for comparison."""
    batches: list[dict[str, Any]] = []
    of_trl = GRPOTrainer._generate_and_score_completions
    of_gd2po = type(trainer)._generate_and_score_completions

    def trl_then_note(self: Any, inputs: Any) -> Any:
        output = of_trl(self, inputs)
        batches.append({"trl": output["advantages"].clone(), "rewards": self._gathered_rewards.clone()})
        return output

    def gd2po_then_note(self: Any, inputs: Any) -> Any:
        output = of_gd2po(self, inputs)
        batches[-1] |= {"ours": output["advantages"].clone(), "token_counts": output["completion_mask"].sum(1)}
        return output

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", trl_then_note)
    monkeypatch.setattr(type(trainer), "_generate_and_score_completions", gd2po_then_note)
    return batches


def test_the_seams_in_trl_are_where_the_trainer_expects_them() -> None:
    parameters = list(inspect.signature(GRPOTrainer._calculate_rewards).parameters)
    assert parameters == ["self", "inputs", "prompts", "completions", "completion_ids_list"]
    assert list(inspect.signature(GRPOTrainer._generate_and_score_completions).parameters) == ["self", "inputs"]
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "rewards_per_func = self._calculate_rewards(" in source
    assert '"advantages": advantages' in source
    assert 'self._logs["advantages"].extend(all_process_advantages.tolist())' in source
    assert 'self._metrics[mode]["reward"].append' in source
    assert "self.accelerator.process_index * len(prompts)" in source


def test_grpo_gives_the_advantages_of_trl_up_to_its_epsilon(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer([length, vowels], advantage_estimator="grpo", reward_weights=[1.0, 0.5])
    batches = capture_batches(trainer, monkeypatch)
    trainer.train()
    assert len(batches) == 2
    for batch in batches:
        assert batch["ours"].abs().max() > 0.5
        # TRL adds 1e-4 to the deviation where we add 1e-6.
        torch.testing.assert_close(batch["ours"], batch["trl"], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "function", "keywords"),
    [
        ({"advantage_estimator": "gdpo"}, gdpo_advantages, {}),
        ({"advantage_estimator": "grpo", "scale_rewards": "none"}, grpo_advantages, {"scale_rewards": False}),
        (options := {"snr_threshold": 0.4, "whitening": "tokens"}, gd2po_advantages, options),
        (options := {"filtering": "hard", "query_reweighting": False}, gd2po_advantages, options),
        (options := {"snr_threshold": "auto", "min_retained": 0.5}, gd2po_advantages, options),
        (
            options := {"conflict_pairs": "correlated", "min_correlation": 0.1},
            gd2po_advantages,
            {"snr_threshold": 0.3, **options},  # the trainer's default; the function's is the paper's
        ),
        (
            {
                "conflict_pairs": "families",
                "standardisation": "rank",
                "reward_families": {"length": "x", "vowels": "x"},
            },
            gd2po_advantages,
            {"conflict_pairs": "families", "standardisation": "rank", "reward_families": ["x", "x"]},
        ),
        (
            {"advantage_estimator": "consensus", "reward_families": '{"length": "x", "vowels": "x"}'},
            consensus_advantages,
            {"reward_families": ["x", "x"]},
        ),
    ],
)
def test_the_loss_gets_the_advantages_of_the_core(
    make_trainer: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], function: Any, keywords: dict[str, Any]
) -> None:
    trainer = make_trainer([length, vowels], reward_weights=[1.0, 2.0], max_steps=1, **options)
    batches = capture_batches(trainer, monkeypatch)
    trainer.train()
    (batch,) = batches
    group_ids = torch.arange(16) // 4
    if function is not grpo_advantages:
        keywords = {"token_counts": batch["token_counts"], **keywords}
        assert not torch.allclose(batch["ours"], batch["trl"], atol=1e-2)
    expected = function(batch["rewards"], group_ids, reward_weights=[1.0, 2.0], **keywords)
    torch.testing.assert_close(batch["ours"], expected.advantages)


def test_a_reward_that_does_not_apply_everywhere_trains(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer([length, even_rows_only], max_steps=1)
    batches = capture_batches(trainer, monkeypatch)
    trainer.train()
    assert batches[0]["rewards"].isnan().sum() == 8
    assert batches[0]["ours"].isfinite().all()


def test_training_changes_the_weights(make_trainer: Any) -> None:
    trainer = make_trainer([length, vowels])
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    assert not torch.equal(before, trainer.model.lm_head.weight)


def test_every_step_logs_reward_means_and_what_happened_to_each_reward(make_trainer: Any) -> None:
    trainer = make_trainer([length, vowels], snr_threshold=1.0)
    trainer.train()
    entries = logged(trainer)
    assert len(entries) == 2
    for entry in entries:
        for name in (
            "rewards/length/mean",
            "rewards/vowels/mean",
            "conflict/rate",
            "conflict/filtered_rate",
            "conflict/keep_ratio_mean",
            "conflict/cancellation",
            "conflict/zero_signal_group_rate",
            "conflict/retained/length",
            "conflict/retained_negative/vowels",
            "conflict/alignment/vowels",
            "conflict/correlation/length/vowels",
            "conflict/pair_rate/length/vowels",
        ):
            assert isinstance(entry[name], float), name
        assert entry["conflict/snr_threshold"] == 1.0
        assert entry["conflict/filtered_rate"] == entry["conflict/rate"] > 0
        assert entry["conflict/keep_ratio_mean"] == pytest.approx(1 - entry["conflict/rate"])


def test_the_completions_table_of_trl_shows_our_advantages(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer([length, vowels], log_completions=True, max_steps=1)
    batches = capture_batches(trainer, monkeypatch)
    trainer.train()
    table = pd.read_parquet(f"{trainer.args.output_dir}/completions/completions_00001.parquet")
    assert table["advantage"].tolist() == pytest.approx(batches[0]["ours"].tolist())
    assert table["length"].tolist() == pytest.approx(batches[0]["rewards"][:, 0].tolist())


def test_the_rollout_log_holds_every_rollout_once(make_trainer: Any) -> None:
    trainer = make_trainer([length, even_rows_only], log_rollouts=True, snr_threshold=1.0)
    trainer.train()
    log = rollouts(trainer)
    assert log["step"].value_counts().to_dict() == {1: 16, 2: 16}
    assert log.groupby(["step", "group"])["prompt"].nunique().eq(1).all()
    assert log.groupby(["step", "group"]).size().eq(4).all()
    assert log["reward/even_rows_only"].isna().sum() == 16
    assert log["reward/length"].tolist() == pytest.approx([len(text) / 10 for text in log["completion"]])
    assert (log.loc[~log["kept"], "advantage"] == 0).all()
    assert (~log["kept"] == log["conflict"]).all()
    assert log["completion_tokens"].between(1, 8).all()


def test_two_batches_in_one_step_are_both_in_the_rollout_log(make_trainer: Any) -> None:
    trainer = make_trainer(
        [length], log_rollouts=True, max_steps=1, gradient_accumulation_steps=2, generation_batch_size=16
    )
    trainer.train()
    assert rollouts(trainer)["step"].tolist() == [1] * 32


def test_a_second_run_does_not_mix_its_rollouts_with_the_first(make_trainer: Any) -> None:
    make_trainer([length], log_rollouts=True, max_steps=1).train()
    with pytest.raises(FileExistsError, match="holds the rollouts of another run"):
        make_trainer([length], log_rollouts=True, max_steps=1).train()


def test_evaluation_during_training_logs_its_own_metrics(make_trainer: Any, prompts: Any) -> None:
    trainer = make_trainer(
        [length, vowels],
        eval_dataset=prompts.select(range(4)),
        max_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=8,
    )
    trainer.train()
    evaluated = [entry for entry in trainer.state.log_history if "eval_conflict/rate" in entry]
    assert len(evaluated) == 1
    assert 0 <= evaluated[0]["eval_conflict/rate"] <= 1


def test_a_batch_without_any_signal_warns_once_and_training_goes_on(
    make_trainer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer([constant])
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    assert [record.message for record in caplog.records if "any signal" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1
    assert trainer.state.global_step == 2
    assert logged(trainer)[0]["conflict/zero_signal_group_rate"] == 1


def test_a_batch_with_signal_does_not_warn(make_trainer: Any, caplog: pytest.LogCaptureFixture) -> None:
    trainer = make_trainer([length], max_steps=1)
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    assert not caplog.records


def test_a_reward_function_that_raises_is_named(make_trainer: Any) -> None:
    def broken(completions: list[str], **kwargs: Any) -> list[float]:
        raise KeyError("answer")

    with pytest.raises(RewardFunctionError, match="`broken` raised KeyError: 'answer'") as caught:
        make_trainer([length, broken]).train()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_reward_function_that_returns_the_wrong_number_is_named(make_trainer: Any) -> None:
    def short(completions: list[str], **kwargs: Any) -> list[float]:
        return [1.0]

    with pytest.raises(RewardFunctionError, match="`short` must return one score per completion: expected 16, got 1"):
        make_trainer([short]).train()


def test_an_infinite_reward_is_named(make_trainer: Any) -> None:
    def infinite(completions: list[str], **kwargs: Any) -> list[float]:
        return [float("inf")] * len(completions)

    with pytest.raises(RewardFunctionError, match="`infinite` returned inf for completion 0"):
        make_trainer([infinite]).train()


def test_an_async_reward_function_trains(make_trainer: Any) -> None:
    async def judge(completions: list[str], **kwargs: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    trainer = make_trainer([judge, vowels], max_steps=1)
    trainer.train()
    assert logged(trainer)[0]["rewards/judge/mean"] > 0


def test_two_rewards_of_one_name_are_refused(make_trainer: Any) -> None:
    with pytest.raises(ConfigError, match="Two reward functions are called 'length'"):
        make_trainer([length, length])


def test_a_plain_grpo_config_is_refused(tiny_model: Any, tokenizer: Any, prompts: Any, tmp_path: Any) -> None:
    from gd2po import GD2POTrainer

    with pytest.raises(InvalidTypeError, match="must be a GD2POConfig: got GRPOConfig"):
        GD2POTrainer(
            model=tiny_model,
            reward_funcs=[length],
            args=GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False),
            train_dataset=prompts,
            processing_class=tokenizer,
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"advantage_estimator": "gdop"}, ConfigError, "`advantage_estimator` must be"),
        ({"filtering": "soft"}, InvalidInputError, "`filtering` must be one of"),
        ({"snr_threshold": 1.2}, InvalidInputError, r"`snr_threshold` must be a number in .*: got 1.2"),
        ({"snr_threshold": "high"}, InvalidInputError, "`snr_threshold` must be a number"),
        ({"snr_threshold": None}, ConfigError, "got None"),
        ({"min_retained": -0.1}, InvalidInputError, "`min_retained` must be a number in"),
        ({"whitening": "words"}, InvalidInputError, "`whitening` must be one of"),
        ({"scale_rewards": "batch"}, ConfigError, "`scale_rewards` must be 'group' or 'none'"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, ConfigError, "has no effect here"),
        ({"num_generations": 5}, ConfigError, "A batch has to hold whole groups"),
        ({"reward_families": "judges"}, ConfigError, "`reward_families` needs families by name .* got 'judges'"),
        ({"reward_families": '{"a": "x", "a": "y"}'}, ConfigError, "`reward_families` has 'a' twice"),
    ],
)
def test_a_wrong_setting_is_refused_before_the_run(
    tmp_path: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        GD2POConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **options)


def test_a_family_of_an_unknown_reward_is_refused_before_the_run(make_trainer: Any) -> None:
    with pytest.raises(ConfigError, match="`reward_families` names a reward 'vowel'.* Did you mean 'vowels'?"):
        make_trainer([length, vowels], reward_families={"length": "x", "vowel": "x"})


def test_a_threshold_from_the_command_line_is_a_number(tmp_path: Any) -> None:
    config = GD2POConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, snr_threshold="0.3")
    assert config.snr_threshold == 0.3


def test_a_trainer_passes_the_advice_on(make_trainer: Any, caplog: pytest.LogCaptureFixture) -> None:
    def shortness(completions: list[str], **kwargs: Any) -> list[float]:
        return [-float(len(text)) for text in completions]

    trainer = make_trainer([length, shortness, constant], max_steps=WINDOW + 2, snr_threshold=0.8)
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    advice = [record.message for record in caplog.records if "Said once" in record.message]
    assert sum("'constant' was the same" in text for text in advice) == 1
    assert sum("pull against each other" in text for text in advice) == 1
    assert sum("of reward 'length'" in text for text in advice) == 1


def test_what_is_neither_function_nor_model_is_refused(make_trainer: Any) -> None:
    with pytest.raises(InvalidTypeError, match="`reward_funcs` must be functions, or models .*: got module"):
        make_trainer([length, math])


def test_a_reward_function_that_hangs_is_named_in_training(make_trainer: Any, caplog: pytest.LogCaptureFixture) -> None:
    def hanging(completions: Any, **kwargs: Any) -> list[float]:
        time.sleep(0.2)
        return [float(row) for row in range(len(completions))]

    make_trainer([hanging], max_steps=1, reward_timeout=0.1).train()
    assert "Reward function `hanging` has not returned for 0.1 seconds" in caplog.text


def test_what_is_known_of_families_comes_back_with_a_checkpoint(make_trainer: Any, tmp_path: Any) -> None:
    options = {
        "advantage_estimator": "consensus",
        "partners": "correlated",
        "max_steps": 2,
        "save_strategy": "steps",
        "save_steps": 1,
        "output_dir": str(tmp_path / "run"),
    }
    first = make_trainer([length, vowels], **options)
    first.train()
    straight = first._session.agreement
    again = make_trainer([length, vowels], **options)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    assert again.state.global_step == 2
    assert torch.equal(again._session.agreement.products, straight.products)
    assert torch.equal(again._session.agreement.powers, straight.powers)
    alone = make_trainer([length, vowels], **(options | {"max_steps": 1, "output_dir": str(tmp_path / "alone")}))
    alone.train()
    assert not torch.equal(alone._session.agreement.products, straight.products)


def early(completions: list[str], **kwargs: Any) -> list[float | None]:
    """Applies in the first step alone, and only once in this process."""
    early.calls += 1  # type: ignore[attr-defined]
    return [float(row) if early.calls == 1 else None for row in range(len(completions))]  # type: ignore[attr-defined]


def never(completions: list[str], **kwargs: Any) -> list[None]:
    return [None] * len(completions)


@pytest.mark.parametrize("written", ["gd2po_state.json", None])
def test_a_reward_that_applied_before_the_checkpoint_is_not_idle(
    make_trainer: Any, tmp_path: Path, written: str | None
) -> None:
    early.calls = 0  # type: ignore[attr-defined]
    options = {"save_strategy": "steps", "save_steps": 1, "output_dir": str(tmp_path / "run")}
    make_trainer([length, early, never], **options).train()
    checkpoint = tmp_path / "run" / "checkpoint-1"
    if written is None:  # as of an older version
        (checkpoint / "gd2po_state.json").unlink()
    again = make_trainer([length, early, never], **options)
    again.train(resume_from_checkpoint=str(checkpoint))
    assert again.state.global_step == 2
    unknown = {} if written else {"early": "never applied"}
    assert again.idle_rewards() == {"never": "never applied"} | unknown


def test_an_old_checkpoint_has_what_is_known_of_families(make_trainer: Any, tmp_path: Path) -> None:
    trainer = make_trainer([length, vowels], advantage_estimator="consensus", partners="correlated", max_steps=1)
    trainer.train()
    (tmp_path / "gd2po_agreement.json").write_text(json.dumps(trainer._session.agreement.plain()))
    again = make_trainer([length, vowels], advantage_estimator="consensus", partners="correlated")
    again.restore_session(tmp_path)
    assert torch.equal(again._session.agreement.products, trainer._session.agreement.products)
