"""The callback in a real run of TRL's own GRPOTrainer."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny_runs import tiny_settings
from trl import GRPOConfig, GRPOTrainer

from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, diagnose
from gd2po.errors import ConfigError, InvalidInputError
from gd2po.integrations.trl.diagnosis_callback import DiagnosisCallback


def brevity(completions: list[str], **kwargs: Any) -> list[float]:
    return [-len(text) / 10 for text in completions]


def vowels(completions: list[str], log_extra: Any = None, **kwargs: Any) -> list[float]:
    if log_extra is not None:
        log_extra("consonants", [sum(letter not in "aeiou" for letter in text) for text in completions])
    return [float(sum(letter in "aeiou" for letter in text)) for text in completions]


def sometimes(completions: list[str], **kwargs: Any) -> list[float | None]:
    return [None if row % 3 == 0 else float("a" in text) for row, text in enumerate(completions)]


@pytest.fixture
def run_grpo(tiny_model: Any, tokenizer: Any, prompts: Any, tmp_path: Path) -> Any:
    """Run TRL's own trainer with a callback; the output folder."""

    def run(callback: DiagnosisCallback, **config: Any) -> Path:
        settings = tiny_settings(
            tmp_path, **{"max_steps": 3, "log_completions": True, "num_completions_to_print": 1, **config}
        )
        trainer = GRPOTrainer(
            model=tiny_model,
            reward_funcs=[brevity, vowels, sometimes],
            args=GRPOConfig(**settings),
            train_dataset=prompts,
            processing_class=tokenizer,
            callbacks=[callback],
        )
        trainer.train()
        return Path(settings["output_dir"])

    return run


class Spy(DiagnosisCallback):
    """Notes how many steps each report covered."""

    def __init__(self, every_n_steps: int) -> None:
        super().__init__(every_n_steps)
        self.steps: list[int] = []

    def _write(self, args: Any, state: Any) -> Any:
        written = super()._write(args, state)
        report = Path(args.output_dir) / "report.json"
        self.steps.append(json.loads(report.read_text())["source"]["steps"] if report.exists() else 0)
        return written


def test_the_report_is_written_every_n_steps_and_at_the_end(run_grpo: Any) -> None:
    spy = Spy(every_n_steps=2)
    folder = run_grpo(spy)
    assert spy.steps == [2, 3]
    assert (folder / "report.html").stat().st_size < 6_000_000


def test_a_plain_trl_log_is_read_as_what_it_is(run_grpo: Any) -> None:
    folder = run_grpo(DiagnosisCallback(every_n_steps=0))
    log = RewardLog(folder)
    diagnosis = diagnose(log)
    assert log.layout.format == "trl"
    # The extra column that a reward function logs stands behind the rewards and is none of them.
    assert [reward.name for reward in diagnosis.rewards] == ["brevity", "vowels", "sometimes"]
    assert diagnosis.source.rollouts == 3 * 16
    assert diagnosis.source.group_sizes == {4: 12}
    table = pd.concat(pd.read_parquet(path) for path in sorted((folder / "completions").iterdir()))
    assert diagnosis.rewards[0].mean == pytest.approx(table["brevity"].mean(), rel=1e-5)
    assert diagnosis.rewards[2].applies == pytest.approx(table["sometimes"].notna().mean())


def test_a_generation_batch_that_trl_logs_at_several_steps_counts_once(run_grpo: Any) -> None:
    folder = run_grpo(DiagnosisCallback(every_n_steps=0), max_steps=4, steps_per_generation=2)
    assert len(list((folder / "completions").iterdir())) == 4
    diagnosis = diagnose(RewardLog(folder))
    assert diagnosis.source.steps == 2
    assert any("2 steps repeat the rollouts" in note for note in diagnosis.source.notes)


def test_a_trainer_that_logs_nothing_is_refused_before_it_trains(run_grpo: Any) -> None:
    with pytest.raises(ConfigError, match="log_completions=True"):
        run_grpo(DiagnosisCallback(), log_completions=False)


def test_a_log_that_cannot_be_read_warns_and_training_goes_on(
    run_grpo: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "run" / "completions" / "completions_00000.parquet"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"PAR1 and then nothing")
    with caplog.at_level(logging.WARNING):
        folder = run_grpo(DiagnosisCallback(every_n_steps=0))
    assert "not a complete Parquet file" in caplog.text
    assert not (folder / "report.html").exists()


def test_it_works_with_our_own_trainer(make_trainer: Any) -> None:
    trainer = make_trainer([brevity, vowels], log_rollouts=True)
    trainer.add_callback(DiagnosisCallback(every_n_steps=1))
    trainer.train()
    report = json.loads((Path(trainer.args.output_dir) / "report.json").read_text())
    assert report["source"]["steps"] == 2
    assert [reward["name"] for reward in report["rewards"]] == ["brevity", "vowels"]
    assert report["source"]["run"]["label"] == trainer.args.setting().label
    assert report["source"]["weights_origin"] == "run"
    assert sum(method["is_run"] for method in report["methods"]) == 1


def test_weights_and_setting_reach_the_report(run_grpo: Any) -> None:
    setting = Setting.named("grpo", "test")
    folder = run_grpo(DiagnosisCallback(every_n_steps=0, reward_weights={"vowels": 0.5}, setting=setting))
    report = json.loads((folder / "report.json").read_text())
    assert [reward["weight"] for reward in report["rewards"]] == [1.0, 0.5, 1.0]
    assert report["source"]["run"]["label"] == "grpo"
    assert [method["name"] for method in report["methods"] if method["is_run"]] == ["grpo"]


def test_a_negative_interval_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 0"):
        DiagnosisCallback(every_n_steps=-1)
