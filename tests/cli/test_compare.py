"""`gd2po compare` from its command line: what it refuses before the first run, and real runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.comparison.run import DEFAULT_METHODS
from gd2po.comparison.run.runner import run_arguments
from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.recipes import recipe_path
from gd2po.training import INTERRUPTED
from gd2po.training.arguments import parse_run
from gd2po.training.compare import CompareOptions, compare_command, make_plan, parse_targets
from gd2po.worlds.command import WorldOptions

SMALL = [
    *("--max_steps", "2", "--per_device_train_batch_size", "4", "--num_generations", "4", "--save_steps", "1"),
    *("--max_completion_length", "48", "--dataset_size", "64", "--learning_rate", "1e-3", "--warmup_steps", "0"),
]
COMPARE = ["compare", "--methods", "gdpo,gd2po-hard", "--eval_prompts", "8", "--eval_every", "1", "--threads", "1"]


JUDGES = """
def brief(completions, **columns):
    return [1 / (1 + len(completion[-1]["content"])) for completion in completions]

def polite(completions, **columns):
    return [completion[-1]["content"].count("e") % 5 / 4 for completion in completions]

def verified(completions, answer, **columns):
    return [float("<tool_call>" in done[-1]["content"]) for done in completions]
"""


def planned(arguments: Sequence[str] = (), **options: Any) -> Any:
    plan, _ = make_plan(CompareOptions(**{"methods": "gdpo,gd2po-snr", **options}), arguments)
    return plan


def test_a_plan_holds_every_setting_and_evaluates_five_times() -> None:
    plan = planned(["--learning_rate", "1e-4"], seeds="3", threads=2)
    assert plan.settings["learning_rate"] == 1e-4
    assert plan.settings["eval_prompts"] == 256
    assert "seed" not in plan.settings
    assert (plan.steps, plan.eval_every, plan.threads, plan.baseline) == (40, 8, 2, "gdpo")
    assert json.loads(json.dumps(plan.settings)) == plan.settings


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["--leraning_rate", "1"], {}, "Did you mean 'learning_rate'"),
        (["--seed", "1"], {}, "Name the seeds in `seeds`"),
        (["--output_dir", "x"], {}, "`output_dir` cannot be set for all runs"),
        (["--resume_from_checkpoint", "x"], {}, "The same command resumes a comparison"),
        (["--max_steps", "-1"], {}, "`max_steps` must be at least 1"),
        ([], {"methods": "gdpo,gd2p-snr"}, "Did you mean 'gd2po-snr'?"),
        ([], {"methods": "gdpo", "own_methods": ["mine:fitlering=hard"]}, "method 'mine': unknown key `fitlering`"),
        ([], {"methods": "gdpo", "own_methods": ["mine:snr_threshold=2"]}, "method 'mine': "),
        ([], {"methods": "gd2po-snr", "own_methods": ["mine:filtering=snr"]}, "are the same settings here"),
        (
            ["--eval_funcs", "exact_cals"],
            {},
            "There is no evaluation function 'exact_cals'. Did you mean 'exact_calls'",
        ),
        (["--reward_weights", "think_lenght=2"], {}, "names a reward 'think_lenght' that does not exist. Did you mean"),
        (
            [],
            {"methods": "gdpo", "own_methods": ["mine:reward_weights=1"]},
            "method 'mine': `reward_weights` needs one",
        ),
        (["--eval_funcs", "think_length"], {}, "'think_length' is also the name of a reward function"),
        ([], {"methods": "gdpo", "own_methods": ["mine:eval_funcs=think_length"]}, "eval_funcs"),
        ([], {"seeds": "0,0"}, "has 0 twice"),
        ([], {"eval_prompts": 0}, "`eval_prompts` must be at least 1"),
        ([], {"eval_every": 0}, "`eval_every` must be at least 1"),
        ([], {"threads": 0}, "`threads` must be at least 1"),
        ([], {"config": "quikstart"}, "quickstart"),
    ],
)
def test_what_would_fail_in_every_run_is_refused_before_the_first(
    arguments: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(arguments, **options)
    assert message in str(caught.value)


def test_weights_by_name_reach_every_run_and_a_method_of_ones_own() -> None:
    own = "mine:advantage_estimator=gdpo,reward_weights=tool_call_format=2 think_length=0.5"
    plan = planned(["--reward_weights", "think_length=0.5"], own_methods=[own])
    assert plan.settings["reward_weights"] == {"think_length": 0.5}
    arguments = run_arguments(plan, Path("out"), "mine", 0)
    assert arguments[-3:] == ["--reward_weights", "tool_call_format=2", "think_length=0.5"]
    parsed = parse_run([*arguments[2:], "--config", "quickstart"], "unused")
    assert parsed.resolved["reward_weights"] == {"tool_call_format": 2.0, "think_length": 0.5}


def test_a_page_that_cannot_be_made_is_known_before_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingDependencyError, match=r"needs plotly.offline: pip install 'gd2po\[trl,report\]'"):
        compare_command(CompareOptions(jobs=0), [])  # wrong as well, and only said later


@pytest.mark.parametrize("text", ["0.5", "exact_calls=", "=0.5", "exact_calls=much"])
def test_a_malformed_target_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="`targets` must be score=number"):
        parse_targets([text])


@pytest.mark.parametrize("recipe", ["quickstart", "noisy-graders", "trade-off"])
def test_the_built_in_settings_can_be_compared_by_all_methods(recipe: str) -> None:
    plan, _ = make_plan(CompareOptions(config=recipe), ())
    assert list(plan.methods) == DEFAULT_METHODS.split(",")


def start(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gd2po", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd
    )


@pytest.mark.slow
def test_a_comparison_that_is_killed_ends_as_one_that_is_not(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    broken = ["--method", "broken:use_peft=true,lora_target_modules=none_such"]
    process = start(*COMPARE, *broken, "--seeds", "0-1", "--output_dir", whole, *SMALL)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 1, output  # a method failed, and the others went on
    document = json.loads((whole / "compare.json").read_text())
    assert document["same_prompts"]
    assert [method["seeds"] for method in document["methods"]] == [[0, 1], [0, 1], []]
    assert [run["seed"] for run in document["methods"][2]["failed"]] == [0, 1]
    assert "none_such" in document["methods"][2]["failed"][0]["error"]
    assert [point["step"] for point in document["methods"][0]["curves"]["exact_calls"]] == [0, 1, 2]
    assert "broken failed with seed 0 and 1" in output

    process = start(*COMPARE, "--seeds", "0", "--output_dir", torn, *SMALL)
    deadline = time.monotonic() + 120
    while not list(torn.glob("runs/*/*/checkpoint-1/trainer_state.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    process = start(*COMPARE, "--seeds", "0-1", "--output_dir", torn, *SMALL)  # resumes, with a seed more
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    for method in ("gdpo", "gd2po-hard"):
        for name in ("evaluations.jsonl", "model.safetensors"):
            first, second = (folder / "runs" / method / "seed-0" / name for folder in (whole, torn))
            assert first.read_bytes() == second.read_bytes()

    process = start(*COMPARE, "--seeds", "0-1", "--output_dir", torn, *SMALL, "--learning_rate", "1e-5")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "holds another comparison: learning_rate is 1e-05 and was 0.001" in " ".join(output.split())


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of the check of the rewards; no run is made, and the comparison stops before its numbers."""
    calls: list[Any] = []

    def check(program: list[str], **options: Any) -> Any:
        settings = yaml.safe_load(Path(program[-1]).read_text())
        calls.append((program[:-1], settings["check_rewards"], settings["reward_funcs"]))
        return SimpleNamespace(returncode=0)

    def stop(runner: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gd2po.training.compare.subprocess.run", check)
    monkeypatch.setattr("gd2po.training.compare.Runner.run", stop)
    return calls


def test_rewards_are_tried_once_for_all_runs_of_a_comparison(checked: list[Any]) -> None:
    options = CompareOptions(methods="gdpo,grpo", seeds="0-1", output_dir="out")
    assert compare_command(options, ()) == INTERRUPTED
    (call,) = checked
    rewards = ["tool_call_correctness", "tool_call_format", "think_length"]
    assert call == ([sys.executable, "-m", "gd2po", "check-rewards", "--config"], True, rewards)
    assert yaml.safe_load(Path("out/settings.yaml").read_text())["check_rewards"] is False  # of the runs
    assert compare_command(options, ()) == INTERRUPTED  # the same command resumes it
    assert len(checked) == 1


def test_a_comparison_can_leave_the_check_of_its_rewards_out(checked: list[Any]) -> None:
    assert (
        compare_command(CompareOptions(methods="gdpo,grpo", output_dir="out"), ["--check_rewards", "false"])
        == INTERRUPTED
    )
    assert not checked


def test_a_comparison_whose_rewards_do_not_pass_leaves_nothing_behind(
    checked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gd2po.training.compare.subprocess.run", lambda *_, **options: SimpleNamespace(returncode=2))
    options = CompareOptions(methods="gdpo,grpo", output_dir="out")
    for _ in range(2):  # the same command can start anew
        with pytest.raises(ConfigError, match="The rewards did not pass their check before the first run"):
            compare_command(options, ())
    assert [path.name for path in Path("out").iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_reward_that_can_never_teach_ends_a_comparison_before_its_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "never_teaches.py").write_text(
        "import math\n\ndef dead(completions, **columns):\n    return [math.nan] * len(completions)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = [*SMALL, "--reward_funcs", "never_teaches.dead", "think_length", "--reward_kwargs", "{}"]
    with pytest.raises(ConfigError, match="The rewards did not pass their check before the first run"):
        compare_command(CompareOptions(methods="gdpo,grpo", output_dir="out"), arguments)
    assert "`dead` returned NaN for all 8 rollouts" in " ".join(capfd.readouterr().out.split())


@pytest.mark.slow
def test_a_comparison_of_judges_shows_their_verifier_first_and_in_percent(tmp_path: Path) -> None:
    (tmp_path / "judges_and_verifier.py").write_text(JUDGES)
    judged = ["--reward_funcs", "judges_and_verifier.brief", "judges_and_verifier.polite"]
    judged += ["--eval_funcs", "judges_and_verifier.verified"]
    process = start(*COMPARE, "--config", "noisy-graders", "--seeds", "0", "--output_dir", tmp_path / "out", *SMALL,
                    *judged, "--reward_kwargs", "{}", cwd=tmp_path)  # fmt: skip
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert output.count("On 8 rollouts of builtin:toolcalls") == 1
    document = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (document["metrics"], document["shares"]) == (["verified", "brief", "polite"], ["verified"])
    for method in document["methods"]:
        assert set(method["correlation"]) == {"brief/polite"}
        assert f"{100 * method['final']['verified']['value']:.1f}%" in output


def documented_commands() -> list[str]:
    root = Path(__file__).parents[2]
    texts = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/compare.md")]
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if line.startswith("gd2po compare")]


def test_documented_commands_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_run.yaml").write_text(recipe_path("quickstart").read_text())
    my_module = types.ModuleType("my_module")
    exec(JUDGES, vars(my_module))
    monkeypatch.setitem(sys.modules, "my_module", my_module)
    planned_runs: list[CompareOptions] = []
    monkeypatch.setattr(
        "gd2po.training.compare.compare_command",
        lambda options, arguments: planned_runs.append(options) or (make_plan(options, arguments) and 0),
    )
    asked_of_worlds: list[WorldOptions] = []
    monkeypatch.setattr("gd2po.worlds.command.compare_in_worlds", lambda asked, _: asked_of_worlds.append(asked))
    commands = documented_commands()
    assert len(commands) >= 4
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command, comments=True)[1:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert [asked.world for asked in asked_of_worlds] == ["spiky3,trade-off"]
    assert [options.config for options in planned_runs].count("my_run.yaml") == 2
    assert [list(options.own_methods) for options in planned_runs].count(
        ["half:advantage_estimator=gd2po,snr_threshold=0.5"]
    ) == 1
