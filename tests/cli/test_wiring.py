"""Every option reaches the function behind its command."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.diagnosis import ColumnChoices
from gd2po.errors import ConfigError
from gd2po.evaluation import PolicyChoice
from gd2po.replay.command import ReplayOptions
from gd2po.replay.defaults import LEARNING_RATES, METHODS
from gd2po.training.compare import CompareOptions
from gd2po.worlds.command import WorldOptions


class Asked(Exception):
    """Raised in the place of the function, with what it was asked for."""


OF_WORLDS = {"--world", "--learning_rates", "--sweep"}
OF_RUNS = {"--config", "--jobs", "--threads", "--eval_prompts", "--eval_every", "--target"}
COMPARE_IN_WORLDS = "gd2po.worlds.command.compare_in_worlds"


def asked(
    monkeypatch: pytest.MonkeyPatch, function: str, *words: str, without: Collection[str] | None = frozenset()
) -> Asked:
    """What a command asks of a function, given every option that it has but those `without`; None: given some."""

    def ask(*arguments: Any, **options: Any) -> None:
        raise Asked(arguments, options)

    monkeypatch.setattr(function, ask)
    command: Any = get_command(app)
    for word in words:
        if word not in getattr(command, "commands", ()):
            break
        command = command.commands[word]
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    options = {spelling for parameter in shown for spelling in parameter.opts if spelling.startswith("--")}
    assert without is None or options - set(without) == {word for word in words if word.startswith("--")}
    result = CliRunner().invoke(app, list(words))
    assert isinstance(result.exception, Asked), result.output
    return result.exception


POLICY = {
    "model_name_or_path": "m", "use_vllm": "true", "max_completion_length": "7", "batch_size": "3", "dtype": "float32",
    "device": "cpu", "gguf_file": "f.gguf", "model_revision": "r",
}  # fmt: skip
CHOICE = PolicyChoice(
    "m", "vllm", gguf_file="f.gguf", model_revision="r", dtype="float32", device="cpu", trust_remote_code=True,
    max_completion_length=7, batch_size=3,
)  # fmt: skip


OF_REWARDS = ["think_length.target_words=20", "judge_a.noise=0"]


def words(**options: str) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def test_api_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(**POLICY, dataset_name="d", levels="1,3", outputs="o", output_dir="out", eval_prompts="5")
    name = "gd2po.evaluation.run.api_bank.evaluate_api_bank"
    arguments, options = asked(monkeypatch, name, "evaluate", "api-bank", *given, "--trust_remote_code").args
    assert arguments == ("d", CHOICE)
    assert options.pop("console")
    assert options == {"outputs": "o", "output_dir": "out", "levels": [1, 3], "eval_prompts": 5}


def test_toolcalls(monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(**POLICY, temperature="0.5", seed="4", outputs="o", output_dir="out", eval_prompts="9")
    given += ["--reward_kwargs", "think_length.target_words=20", "judge_a.noise=0", "--trust_remote_code"]
    name = "gd2po.evaluation.run.toolcalls.evaluate_toolcalls"
    ((policy,), options) = asked(monkeypatch, name, "evaluate", "toolcalls", *given).args
    assert (policy.temperature, policy.seed, policy.max_completion_length, policy.batch_size) == (0.5, 4, 7, 3)
    assert options.pop("console")
    assert options == {"outputs": "o", "output_dir": "out", "eval_prompts": 9, "reward_kwargs": OF_REWARDS}


def test_safety(monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(**POLICY, dataset_name="d", reward_models="a=x,b=y", outputs="o", output_dir="out", eval_prompts="5")
    given += [*words(max_prompt_tokens="11", reward_batch_size="2"), "--trust_remote_code"]
    name = "gd2po.evaluation.run.safety.evaluate_safety"
    arguments, options = asked(monkeypatch, name, "evaluate", "safety", *given).args
    data, reward_models, policy = arguments
    assert (data, reward_models) == ("d", {"a": "x", "b": "y"})
    assert (policy.max_prompt_tokens, policy.dtype, policy.model_revision) == (11, "float32", "r")
    assert options.pop("console")
    rewards = {"batch_size": 2, "dtype": "float32", "device": "cpu", "trust_remote_code": True}
    assert options == {"outputs": "o", "output_dir": "out", "eval_prompts": 5, "reward_options": rewards}


def test_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(config="c", methods="gdpo,grpo", method="a:x=1", seeds="3", jobs="2", threads="4", output_dir="out")
    given += words(baseline="grpo", eval_prompts="8", eval_every="5", target="brevity=0.5")
    name = "gd2po.training.compare.compare_command"
    (chosen, fields), _ = asked(monkeypatch, name, "compare", *given, without=OF_WORLDS).args
    assert chosen == CompareOptions(
        config="c", methods="gdpo,grpo", own_methods=["a:x=1"], seeds="3", jobs=2, threads=4, output_dir="out",
        baseline="grpo", eval_prompts=8, eval_every=5, targets=["brevity=0.5"],
    )  # fmt: skip
    assert fields == []


def test_compare_in_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(methods="gdpo,grpo", method="a:x=1", seeds="3", output_dir="out", baseline="grpo")
    given += words(world="gauss", learning_rates="1,3", sweep="group_size=4,8")
    (chosen, _), _ = asked(monkeypatch, COMPARE_IN_WORLDS, "compare", *given, without=OF_RUNS).args
    assert chosen == WorldOptions(
        "gauss", methods="gdpo,grpo", own_methods=["a:x=1"], seeds="3", output_dir="out", baseline="grpo",
        learning_rates="1,3", sweep="group_size=4,8",
    )  # fmt: skip
    (chosen, _), _ = asked(monkeypatch, COMPARE_IN_WORLDS, "compare", "--world", "gauss", without=None).args
    assert chosen.seeds == "0-23"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--sweep", "group_size=4"], "`--sweep` needs `--world`"),
        (["--learning_rates", "1"], "`--learning_rates` needs `--world`"),
        (["--world", "gauss", "--jobs", "1"], "`--jobs` is for training runs"),
        (["--world", "gauss", "--max_steps", "3"], "`--max_steps` is for training runs"),
    ],
)
def test_options_of_runs_and_of_worlds_do_not_mix(given: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["compare", *given])
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_diagnose(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("gd2po.diagnosis.RewardLog", lambda *log, **options: made.append((log, options)))
    given = words(html="h", json="j", rewards="a,b", reward_weights="1,2", group="g", group_size="4", step="s")
    given += words(step_range="2:5", prompt="p", completion="c", length="l")
    given += words(reward_conditions="[...]", reward_families="a=x,b=x")
    name = "gd2po.diagnosis.report_log"
    (_, weights), options = asked(
        monkeypatch, name, "diagnose", "log.csv", *given, "--skip_bad_rows", without={"--watch"}
    ).args
    columns = ColumnChoices(
        step="s", group="g", group_size=4, rewards=["a", "b"], prompt="p", completion="c", length="l"
    )
    assert made == [(("log.csv", columns), {"step_range": (2, 5), "skip_bad_rows": True})]
    assert (weights, options["html"], options["json"]) == ([1.0, 2.0], "h", "j")
    assert (options["reward_conditions"], options["reward_families"]) == ("[...]", {"a": "x", "b": "x"})


def test_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("gd2po.logs.reward_log.RewardLog", lambda *log, **options: made.append((log, options)))
    given = words(html="h", json="j", rewards="a,b", reward_weights="1,2", group="g", group_size="4", step="s")
    given += words(step_range="2:5", prompt="p", completion="c", length="l", gold="v", methods="gdpo,grpo")
    given += words(method="a:x=1", baseline="grpo", learning_rates="1,3", reward_families="a=x,b=x")
    name = "gd2po.replay.command.replay_log"
    (_, chosen, _), _ = asked(monkeypatch, name, "replay", "log.csv", *given, "--skip_bad_rows").args
    columns = ColumnChoices(
        step="s", group="g", group_size=4, rewards=["a", "b"], prompt="p", completion="c", length="l"
    )
    assert made == [(("log.csv", columns), {"step_range": (2, 5), "skip_bad_rows": True})]
    assert chosen == ReplayOptions(
        "v", methods="gdpo,grpo", own_methods=["a:x=1"], learning_rates="1,3", reward_weights=[1.0, 2.0],
        reward_families={"a": "x", "b": "x"}, baseline="grpo", html="h", json="j",
    )  # fmt: skip


def test_the_defaults_of_replay_are_those_of_its_function() -> None:
    command: Any = get_command(app)
    defaults = {parameter.name: parameter.default for parameter in command.commands["replay"].params}
    assert defaults["methods"] == ",".join(METHODS)
    assert defaults["learning_rates"] == ",".join(f"{rate:g}" for rate in LEARNING_RATES)
