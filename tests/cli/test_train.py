"""`gd2po train` from its command line to its run folder, on the built-in task and policy."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import types
from concurrent.futures import Future
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.utils import filter_repo_objects
from run_checkpoints import Attack, write_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.errors import ConfigError, RunFolderError
from gd2po.evaluation.held_out import HeldOutScores
from gd2po.training import INTERRUPTED
from gd2po.training.arguments import parse_run
from gd2po.training.callbacks import RewriteCheckpoints
from gd2po.training.held_out import HeldOutEvaluation
from gd2po.training.summary import next_commands
from gd2po.training.train import train_command

SMALL = [
    *("--max_steps", "2", "--per_device_train_batch_size", "4", "--num_generations", "4"),
    *("--max_completion_length", "48", "--eval_prompts", "8", "--dataset_size", "64", "--save_steps", "2"),
    *("--report_to", "none"),
]
REWARDS = ["tool_call_correctness", "tool_call_format", "think_length"]
COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")
"""An escape sequence that sets a colour."""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert train_command([*SMALL, "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_its_numbers(run_folder: Path) -> None:
    summary = json.loads((run_folder / "summary.json").read_text())
    assert summary["recipe"] == "quickstart"
    assert summary["steps"] == 2
    for when in ("before", "after"):
        scores = summary["held_out"][when]
        assert scores["num_prompts"] == 8
        assert list(scores["rewards"]) == REWARDS
        assert 0 <= scores["metrics"]["exact_calls"] <= 1
        assert scores["shares"] == ["exact_calls"]
    assert 0 <= summary["training_means"]["conflict/rate"] <= 1


def test_a_run_logs_every_rollout(run_folder: Path) -> None:
    rollouts = pd.read_parquet(run_folder / "rollouts")
    assert len(rollouts) == 2 * 16
    assert {f"reward/{name}" for name in REWARDS} <= set(rollouts.columns)


def test_a_run_ends_with_its_report(run_folder: Path) -> None:
    report = json.loads((run_folder / "report.json").read_text())
    assert report["source"]["rollouts"] == 32
    assert [reward["name"] for reward in report["rewards"]] == REWARDS
    assert "think_length" in (run_folder / "report.html").read_text()


def test_a_run_ends_with_the_card_of_its_policy(run_folder: Path) -> None:
    card = ModelCard.load(run_folder / "README.md")
    after = json.loads((run_folder / "summary.json").read_text())["held_out"]["after"]
    scores = next(line for line in card.text.splitlines() if line.startswith("| `think_length` | reward |"))
    assert scores.endswith(f"| {after['rewards']['think_length']:.3f} |")
    assert "`builtin:toolcalls`, trained by reinforcement learning on 3 rewards" in card.text
    assert "64 prompts of `builtin:toolcalls`." in card.text
    assert card.data.base_model is None  # the hub has no such model
    assert str(run_folder.parent) not in card.content


@pytest.mark.parametrize("asked", [False, True])
def test_the_last_push_to_the_hub_carries_scores_and_completions_only_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    pushed: list[set[str]] = []
    scored: list[bool] = []

    def upload_folder(folder_path: str, ignore_patterns: list[str], **keywords: object) -> Future[None]:
        folder = Path(folder_path)
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        pushed.append(set(filter_repo_objects(files, ignore_patterns=ignore_patterns)))  # as the hub's client does
        scored.append("| `think_length` | reward |" in Path(folder_path, "README.md").read_text())
        done: Future[None] = Future()
        done.set_result(None)
        return done

    hub = types.SimpleNamespace(
        create_repo=lambda name, **keywords: types.SimpleNamespace(repo_id=name), upload_folder=upload_folder
    )
    monkeypatch.setattr("transformers.trainer.hf_api", lambda: hub)
    own = ["--output_dir", str(tmp_path / "run"), "--max_steps", "1", "--eval_prompts", "2", "--save_steps", "1"]
    asking = ["--hub_rollouts"] if asked else []
    train_command(
        [*SMALL, *own, *asking, "--push_to_hub", "--hub_model_id", "owner/policy", "--hub_strategy", "every_save"]
    )
    assert scored[-1]
    assert len(pushed) > 1  # also with the checkpoint
    assert {"model.safetensors", "summary.json", "config.yaml"} <= pushed[-1]
    of_completions = {"rollouts/step_000001.parquet", "report.html", "report.json"}
    assert of_completions <= {path.relative_to(tmp_path / "run").as_posix() for path in tmp_path.rglob("*")}
    assert pushed[-1] & of_completions == (of_completions if asked else set())
    assert any("rollouts" in name for files in pushed for name in files) == asked


def test_the_next_commands_of_any_run_work_when_pasted(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((run_folder / "summary.json").read_text())
    commands = dict(next_commands(run_folder, summary))
    assert list(commands) == [
        "the same run with gdpo",
        "the same run that drops every conflict",
        "where its rewards conflict, and what each method would do",
    ]
    words = [shlex.split(command) for command in commands.values()]
    for line in words[:2]:
        parsed = parse_run(line[line.index("train") + 1 :], "unused")
        assert (parsed.training.max_steps, parsed.run.dataset_size) == (2, 64)  # the overrides of the first run
        assert not Path(parsed.training.output_dir).exists()
    first = words[0][words[0].index("train") + 1 :]
    assert train_command([*first, "--eval_prompts", "0", "--html_report", "false"]) == 0
    shown = capsys.readouterr().out
    pasted = [line.strip() for line in shown.partition("Next:")[2].splitlines() if line.strip()]
    assert [line.startswith("#") for line in pasted] == [True, False] * (len(pasted) // 2)
    assert next_commands(run_folder, summary)[0][1].endswith(f"{run_folder.name}-gdpo-2")


@pytest.mark.parametrize(
    ("environment", "colours", "escapes"),
    [({}, False, False), ({"FORCE_COLOR": "1"}, True, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True)],
    ids=["pipe", "FORCE_COLOR", "NO_COLOR"],
)
def test_colours_are_for_terminals_and_for_nobody_who_wants_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    colours: bool,
    escapes: bool,
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    own = ["--output_dir", str(tmp_path / "run"), "--max_steps", "1", "--eval_prompts", "0"]
    assert train_command([*SMALL, *own, "--check_rewards", "false"]) == 0
    shown = "".join(capsys.readouterr())
    assert "Run folder:" in shown
    assert ("\x1b[" in shown, COLOUR.search(shown) is not None) == (escapes, colours)


def test_the_trained_policy_loads_and_generates(run_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(run_folder)
    tokenizer = AutoTokenizer.from_pretrained(run_folder)
    turns = [{"role": "user", "content": "Hello!"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert ids.shape[1] > prompt["input_ids"].shape[1]


def test_the_config_of_a_run_gives_the_same_run_again(run_folder: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    assert config["snr_threshold"] == 0.3
    arguments = ["--config", str(run_folder / "config.yaml"), "--output_dir", str(tmp_path / "again")]
    assert train_command([*arguments, "--eval_prompts", "0"]) == 0
    first, again = (AutoModelForCausalLM.from_pretrained(folder) for folder in (run_folder, tmp_path / "again"))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_evaluations_in_between_change_nothing_else(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluated"
    arguments = [*SMALL, "--output_dir", str(folder), "--eval_every", "1", "--html_report", "false"]
    assert train_command(arguments) == 0
    assert (folder / "model.safetensors").read_bytes() == (run_folder / "model.safetensors").read_bytes()
    assert not (folder / "report.html").exists()
    lines, few = (
        [json.loads(line) for line in (path / "evaluations.jsonl").read_text().splitlines()]
        for path in (folder, run_folder)
    )
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert [lines[0], lines[2]] == few
    summary = json.loads((folder / "summary.json").read_text())
    assert {"step": 2, **summary["held_out"]["after"]} == lines[2]


JUDGES = """
def brief(completions, **columns):
    return [1 / (1 + len(completion[-1]["content"])) for completion in completions]

async def polite(completions, **columns):
    return [completion[-1]["content"].count("e") % 5 / 4 for completion in completions]

async def verified(prompts, completions, answer, *, tag="<response>", **columns):
    assert len(prompts) == 8  # the held-out ones: a batch of training has 16 rollouts
    return [float((tag in expected) == (tag in done[-1]["content"])) for done, expected in zip(completions, answer)]
"""


def test_a_run_on_two_judges_is_scored_by_a_verifier_that_it_never_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two_judges.py").write_text(JUDGES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    judged = ["--reward_funcs", "two_judges.brief", "two_judges.polite", "--reward_kwargs", "{}", "--output_dir", "run"]
    verified = [
        "--eval_funcs",
        "two_judges.verified",
        "--eval_kwargs",
        '{"two_judges.verified": {"tag": "<tool_call>"}}',
    ]
    assert train_command([*SMALL, *judged, *verified, "--html_report", "false"]) == 0
    summary = json.loads(Path("run/summary.json").read_text())
    lines = [json.loads(line) for line in Path("run/evaluations.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, **summary["held_out"]["before"]}, {"step": 2, **summary["held_out"]["after"]}]
    for line in lines:
        assert (list(line["metrics"]), line["shares"]) == (["verified"], ["verified"])
        assert list(line["rewards"]) == ["brief", "polite"]
    rollouts = pd.read_parquet("run/rollouts")
    assert {name for name in rollouts.columns if name.startswith("reward/")} == {"reward/brief", "reward/polite"}
    assert not [name for name in summary["training_means"] if "verified" in name]
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["eval_funcs"], config["reward_funcs"][1]) == (["two_judges.verified"], "two_judges.polite")
    rows = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert rows == ["verified", "brief", "polite"]


def test_a_finished_run_takes_no_step_more(run_folder: Path) -> None:
    arguments = ["--config", str(run_folder / "config.yaml"), "--resume_from_checkpoint", f"{run_folder}/checkpoint-2"]
    with pytest.raises(ConfigError, match="nothing is left to train"):
        train_command(arguments)
    assert not (run_folder / "rollouts/step_000003.parquet").exists()


def test_a_run_that_was_stopped_after_its_last_checkpoint_resumes_to_its_end(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    for missing in ("summary.json", "model.safetensors", "trainer_state.json", "report.html"):
        (folder / missing).unlink()
    rollouts = sorted(path.name for path in (folder / "rollouts").iterdir())
    again = ["--config", str(folder / "config.yaml"), "--output_dir", str(folder), "--resume_from_checkpoint", "latest"]
    assert train_command(again) == 0
    assert "All steps are trained already" in capsys.readouterr().out
    for same in ("model.safetensors", "evaluations.jsonl"):
        assert (folder / same).read_bytes() == (run_folder / same).read_bytes()
    one, other = (json.loads((path / "summary.json").read_text()) for path in (run_folder, folder))
    assert {**other, "train_seconds": one["train_seconds"], "recipe": one["recipe"]} == one
    assert (folder / "report.html").is_file()
    assert sorted(path.name for path in (folder / "rollouts").iterdir()) == rollouts
    with pytest.raises(ConfigError, match="nothing is left to train"):
        train_command(again)


def test_a_finished_run_is_not_finished_again_in_another_folder(run_folder: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(run_folder / "config.yaml"), "--output_dir", str(tmp_path / "other")]
    with pytest.raises(ConfigError, match="nothing is left to train"):
        train_command([*arguments, "--resume_from_checkpoint", f"{run_folder}/checkpoint-2"])


def test_a_run_resumes_from_the_newest_checkpoint_that_is_complete(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    half = folder / "checkpoint-3"
    shutil.copytree(folder / "checkpoint-2", half)
    (half / "trainer_state.json").unlink()  # as after a kill
    log = folder / "rollouts" / "step_000001.parquet"
    log.write_bytes(log.read_bytes()[:-100])
    again = ["--config", str(folder / "config.yaml"), "--output_dir", str(folder), "--eval_prompts", "0"]
    assert train_command([*again, "--max_steps", "3", "--save_steps", "3", "--resume_from_checkpoint", "latest"]) == 0
    output = capsys.readouterr().out
    assert f"Resuming from {folder}/checkpoint-2" in output
    assert "Passed over checkpoint-3: trainer_state.json is missing" in output
    assert "step_000001.parquet is damaged" in caplog.text
    assert json.loads((folder / "report.json").read_text())["source"]["rollouts"] == 2 * 16
    assert json.loads((half / "trainer_state.json").read_text())["global_step"] == 3


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_with_code_is_refused_here_and_by_transformers(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    torch.save({"state": Attack(tmp_path / "attacked")}, folder / "checkpoint-2" / name)
    again = ["--config", str(folder / "config.yaml"), "--output_dir", str(folder), "--eval_prompts", "0"]
    again += ["--max_steps", "3", "--resume_from_checkpoint", f"{folder}/checkpoint-2"]
    with pytest.raises(ConfigError, match=f"cannot be resumed from: {name} is damaged"):
        train_command(again)
    monkeypatch.setattr("gd2po.runs.checkpoints.damage", lambda checkpoint: None)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        train_command(again)
    assert not (tmp_path / "attacked").exists()


def test_a_checkpoint_that_is_written_again_counts_only_once_it_is_complete(tmp_path: Path) -> None:
    state = write_checkpoint(tmp_path, 4) / "trainer_state.json"
    arguments = types.SimpleNamespace(output_dir=str(tmp_path))
    step = types.SimpleNamespace(global_step=4, is_world_process_zero=True)
    for saves, kept in ((False, True), (True, False)):
        RewriteCheckpoints().on_epoch_end(arguments, step, types.SimpleNamespace(should_save=saves))
        assert state.exists() is kept


def test_a_run_may_be_started_anew_in_its_own_folder_only(run_folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run_folder, again)
    (again / "checkpoint-99").mkdir()
    arguments = [*SMALL, "--max_steps", "1", "--eval_prompts", "0", "--html_report", "false", "--overwrite_output_dir"]
    assert train_command([*arguments, "--output_dir", str(again)]) == 0
    assert json.loads((again / "summary.json").read_text())["steps"] == 1
    assert not (again / "checkpoint-99").exists()
    assert not (again / "report.html").exists()
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="removes runs only"):
        train_command([*arguments, "--output_dir", str(other)])
    assert (other / "letter.txt").read_text() == "mine"


def test_a_dry_run_prints_what_would_run_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert train_command([*SMALL, "--dry_run", "--output_dir", str(folder), "--reward_funcs", "tool_call_format"]) == 0
    assert not folder.exists()
    shown = capsys.readouterr().out
    assert "# Note: reward_kwargs of think_length belong to the recipe's rewards and were left out." in shown
    values = yaml.safe_load(shown)
    assert values["max_steps"] == 2
    assert values["reward_funcs"] == ["tool_call_format"]
    assert values["learning_rate"] == 3e-4
    assert "dry_run" not in values
    config = tmp_path / "mine.yaml"
    config.write_text(shown)
    assert parse_run(["--config", str(config)], "x").resolved == {
        **parse_run([*SMALL, "--output_dir", str(folder), "--reward_funcs", "tool_call_format"], "x").resolved,
    }
    with pytest.raises(ConfigError, match="think_lenght"):
        train_command(["--dry_run", "--reward_funcs", "think_lenght"])


def test_a_folder_with_another_run_is_left_alone(run_folder: Path) -> None:
    with pytest.raises(RunFolderError, match="is not empty, and may hold another run"):
        train_command([*SMALL, "--output_dir", str(run_folder)])
    assert (run_folder / "summary.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "quikstart"], "quickstart"),
        (["--advantage_estimator", "gdop"], "gdop"),
        (["--reward_funcs", "think_lenght", "--reward_kwargs", "{}"], "Did you mean 'think_length'"),
        (["--leraning_rate", "1e-4"], "Did you mean 'learning_rate'"),
        (["--snr_threshold", "2"], "snr_threshold"),
        (["--eval_funcs", "exact_cals"], "Did you mean 'exact_calls'"),
        (["--eval_funcs", "think_length"], "'think_length' is also the name of a reward function"),
        (["--eval_funcs", "exact_calls", "--eval_prompts", "0"], "`eval_funcs` needs held-out prompts"),
        (["--eval_every", "-1"], "`eval_every` must be a whole number of at least 0: got -1"),
        (["--max_steps", "-5"], "`max_steps` must be a whole number of at least 1, or -1: got -5"),
        (["--eval_every", "5", "--eval_prompts", "0"], "`eval_every` needs held-out prompts"),
        (["--num_generations", "5"], "divisible"),
        (["--resume_from_checkpoint", "nowhere"], "there is no 'nowhere'"),
    ],
)
def test_a_wrong_argument_costs_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        train_command(["--output_dir", str(folder), *arguments])
    assert not folder.exists()


def test_a_prompt_that_fills_the_context_is_refused_before_training(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": "short"}], [{"role": "user", "content": "at length " * 600}]]
    file = tmp_path / "prompts.json"
    file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in turns))
    own = ["--model_name_or_path", "builtin:toolcalls", "--dataset_name", str(file), "--reward_funcs", "think_length"]
    more = ["--num_generations", "2", "--per_device_train_batch_size", "2", "--bf16", "false", "--report_to", "none"]
    with pytest.raises(ConfigError, match=r"context has 1024 tokens, and a prompt of \d{4} leaves no room"):
        train_command([*own, *more, "--output_dir", str(tmp_path / "run")])


def test_a_wrong_value_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_steps"):
        train_command(["--output_dir", str(tmp_path), "--max_steps", "many"])


def test_ctrl_c_while_prompts_are_scored_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: HeldOutEvaluation, trainer: object, step: int, when: str) -> HeldOutScores | None:
        if when == stop:
            raise KeyboardInterrupt
        return scored(self, trainer, step, when)

    scored, stop = HeldOutEvaluation.score, "before training"
    monkeypatch.setattr(HeldOutEvaluation, "score", interrupted)
    arguments = [*SMALL, "--html_report", "false", "--output_dir", str(tmp_path / "run")]
    assert train_command(arguments) == INTERRUPTED
    assert "Stopped before the first checkpoint. The same command starts anew." in capsys.readouterr().out

    stop = "after training"
    assert train_command(arguments) == INTERRUPTED
    output = capsys.readouterr().out
    assert "Stopped after step 2" in output
    command = shlex.split(output.split("To resume:")[1])
    stop = "never"
    assert train_command(command[command.index("train") + 1 :]) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_resume(number: int, status: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    program = Path(sys.executable).with_name("gd2po")
    process = subprocess.Popen(
        [program, "train", *SMALL, "--max_steps", "500", "--eval_prompts", "0", "--output_dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell starts a job in the background
    )
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob("rollouts/*.parquet")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        output, log = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    (checkpoint,) = folder.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert f"Stopped after step {step}" in output
    steps = [line for line in log.splitlines() if line.startswith("step ")]  # into a pipe: no bar, a line per step
    assert [line.split(":")[0] for line in steps] == [f"step {one}/500" for one in range(1, step + 1)]
    assert "tool_call_format 0." in steps[0]
    assert "\x1b" not in output + log
    assert "\r" not in output + log
    if number == signal.SIGTERM:
        return
    command = shlex.split(output.split("To resume:")[1])
    command = command[command.index("train") - 1 :]

    copy = tmp_path / "before"
    shutil.copytree(folder / "rollouts", copy)
    assert train_command([*command[2:], "--max_steps", str(step + 1)]) == 0
    names = sorted(path.name for path in (folder / "rollouts").iterdir())
    assert len(names) == step + 1
    for path in copy.iterdir():
        assert path.read_bytes() == (folder / "rollouts" / path.name).read_bytes()
