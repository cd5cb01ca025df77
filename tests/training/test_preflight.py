"""A dead reward does not train to the end without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from gd2po.errors import ConfigError, RewardFunctionError
from gd2po.training.check_rewards import CheckOptions, check_rewards_command
from gd2po.training.preflight import spread_rows
from gd2po.training.train import train_command

REWARDS = """
import math

def dead(completions, **columns):
    return [math.nan] * len(completions)

def flat(completions, **columns):
    return [0.25] * len(completions)

def narrow(completions):
    return [1.0] * len(completions)

def brief(completions, **columns):
    return [1 / (1 + len(completion[-1]["content"])) for completion in completions]
"""
SMALL = [
    *("--max_steps", "1", "--per_device_train_batch_size", "4", "--num_generations", "4", "--eval_prompts", "0"),
    *("--max_completion_length", "24", "--dataset_size", "16", "--save_strategy", "no", "--report_to", "none"),
    *("--reward_kwargs", "{}"),
]


@pytest.fixture(autouse=True)
def rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"preflight_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_reward_that_can_never_teach_is_refused_before_the_first_step(rewards: str) -> None:
    with pytest.raises(RewardFunctionError, match="`dead` returned NaN for all 8 rollouts"):
        train_command([*SMALL, "--reward_funcs", f"{rewards}.dead", f"{rewards}.brief", "--output_dir", "run"])
    with pytest.raises(RewardFunctionError, match=r"`narrow` does not accept .* add `\*\*kwargs`"):
        train_command([*SMALL, "--reward_funcs", f"{rewards}.narrow", "--output_dir", "other"])
    assert not list(Path("run").glob("rollouts/*"))
    assert not Path("other").exists()


def test_a_dead_reward_that_trains_all_the_same_is_named_at_the_end(
    rewards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{rewards}.{name}" for name in ("dead", "flat", "brief")]
    assert train_command([*SMALL, "--check_rewards", "false", "--reward_funcs", *names, "--output_dir", "run"]) == 0
    shown = capsys.readouterr().out
    assert "Dead reward: dead never applied (it gave no rollout a score): it taught nothing." in shown
    assert "Dead reward: flat never told rollouts apart" in shown
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["idle_rewards"] == {"dead": "never applied", "flat": "never told rollouts apart"}
    report = json.loads(Path("run/report.json").read_text())
    assert "dead never applied" in [finding["title"] for finding in report["verdict"]["findings"]]


def test_a_run_that_resumes_to_its_end_still_knows_its_dead_rewards(rewards: str) -> None:
    names = [f"{rewards}.{name}" for name in ("dead", "brief")]
    saving = ["--check_rewards", "false", "--save_strategy", "steps", "--save_steps", "1", "--html_report", "false"]
    assert train_command([*SMALL, *saving, "--reward_funcs", *names, "--output_dir", "run"]) == 0
    for missing in ("summary.json", "model.safetensors", "trainer_state.json"):
        Path("run", missing).unlink()
    assert train_command(["--config", "run/config.yaml", "--resume_from_checkpoint", "latest"]) == 0
    assert json.loads(Path("run/summary.json").read_text())["idle_rewards"] == {"dead": "never applied"}


def test_the_check_changes_nothing_in_the_run_and_warns_of_a_constant(
    rewards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{rewards}.{name}" for name in ("flat", "brief")]
    own = [*SMALL, "--html_report", "false", "--reward_funcs", *names]
    assert train_command([*own, "--output_dir", "checked"]) == 0
    assert "`flat` gives 8 rollouts the same score, 0.25" in capsys.readouterr().out
    assert train_command([*own, "--output_dir", "unchecked", "--check_rewards", "false"]) == 0
    assert "Warning: Reward function" not in capsys.readouterr().out
    assert Path("checked/model.safetensors").read_bytes() == Path("unchecked/model.safetensors").read_bytes()


def test_rewards_are_checked_alone(rewards: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=400)
    good = CheckOptions(reward_funcs=[f"{rewards}.brief", "tool_call_correctness"], dataset_name="builtin:toolcalls")
    assert check_rewards_command(good, console) == 0
    shown = capsys.readouterr().out
    assert "completions made of the answers in builtin:toolcalls" in shown
    assert "tool_call_correctness: applies to 8 of 8 completions, scores −3 to 3" in shown
    bad = CheckOptions(reward_funcs=[f"{rewards}.dead", f"{rewards}.brief"], dataset_name="builtin:toolcalls")
    assert check_rewards_command(bad, console) == 2
    shown = capsys.readouterr().out
    assert "returned NaN for all 8 rollouts" in shown
    assert "brief: applies to 8 of 8" in shown
    assert check_rewards_command(CheckOptions(reward_funcs=["think_length"]), console) == 0
    assert "eight built-in completions" in capsys.readouterr().out


def test_the_rewards_of_a_recipe_are_checked_on_rollouts_of_its_policy(capsys: pytest.CaptureFixture[str]) -> None:
    options = CheckOptions(config="quickstart", max_completion_length=16)
    assert check_rewards_command(options, Console(width=400)) == 0
    assert "On 8 rollouts of builtin:toolcalls on builtin:toolcalls:" in capsys.readouterr().out


def test_the_policy_of_a_configuration_is_loaded_as_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.yaml").write_text(
        "model_name_or_path: mine\ndataset_name: builtin:toolcalls\ndataset_size: 8\nreward_funcs: [think_length]\n"
        "dtype: bfloat16\nuse_cpu: true\ntrust_remote_code: true\nmodel_revision: v1\n"
    )
    asked: dict[str, object] = {}

    def load_policy(name: str, **options: object) -> None:
        asked.update(options, name=name)
        raise ConfigError("far enough")

    monkeypatch.setattr("gd2po.evaluation.generation.policies.load_policy", load_policy)
    with pytest.raises(ConfigError, match="far enough"):
        check_rewards_command(CheckOptions(config=str(tmp_path / "run.yaml")), Console())
    assert asked == {
        "name": "mine", "gguf_file": None, "model_revision": "v1", "dtype": "bfloat16", "device": "cpu",
        "trust_remote_code": True,
    }  # fmt: skip


def test_rows_are_spread_over_the_data_set() -> None:
    rows = [{"prompt": str(number)} for number in range(100)]
    assert [row["prompt"] for row in spread_rows(rows, 4)] == ["0", "25", "50", "75"]
    assert [row["prompt"] for row in spread_rows(rows[:3], 4)] == ["0", "1", "2", "0"]
