"""The recipes of the paper's experiments hold the published hyperparameters, whatever the method."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gd2po.errors import ConfigError
from gd2po.recipes import read_settings
from gd2po.training.arguments import ParsedRun, parse_run
from gd2po.training.setup import load_reward_funcs

CPU = ["--use_cpu", "--bf16", "false"]
PAPER = ["tool-calling", "tool-calling-2", "safe-alignment"]


def parse(recipe: str, *argv: str) -> ParsedRun:
    return parse_run(["--config", recipe, *argv, *CPU], "runs/{recipe}")


@pytest.mark.parametrize("recipe", PAPER)
def test_batches_and_updates_are_the_published_ones(recipe: str) -> None:
    training = parse(recipe).training
    assert training.num_generations == 4
    assert training.generation_batch_size == 512 * 4
    on_8_gpus = 8 * training.per_device_train_batch_size * training.gradient_accumulation_steps
    assert on_8_gpus == 128 * 4
    assert training.learning_rate == 1e-6
    assert training.lr_scheduler_type == "constant"
    assert (training.beta, training.epsilon, training.num_iterations) == (0, 0.2, 1)
    assert training.max_completion_length == 1024
    assert training.top_p == 1
    assert (training.advantage_estimator, training.filtering) == ("gd2po", "snr")
    assert (training.snr_threshold, training.whitening) == (0.8, "tokens")


@pytest.mark.parametrize("recipe", PAPER)
def test_weights_are_kept_in_float32(recipe: str) -> None:
    assert parse(recipe).model.dtype == "float32"


@pytest.mark.parametrize("recipe", PAPER)
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--filtering", "hard"], ("gd2po", "hard")),
        (["--advantage_estimator", "gdpo"], ("gdpo", "snr")),
        (["--advantage_estimator", "grpo"], ("grpo", "snr")),
    ],
)
def test_each_method_is_one_option(recipe: str, option: list[str], expected: tuple[str, str]) -> None:
    training = parse(recipe, *option).training
    assert (training.advantage_estimator, training.filtering) == expected


@pytest.mark.parametrize(
    ("recipe", "rewards"),
    [
        ("tool-calling", ["tool_call_correctness", "tool_call_format", "think_length"]),
        ("tool-calling-2", ["tool_call_correctness", "think_length"]),
        ("safe-alignment", ["helpfulness", "harmlessness"]),
    ],
)
def test_the_rewards_are_found_and_take_their_options(recipe: str, rewards: list[str]) -> None:
    functions = load_reward_funcs(parse(recipe).run)
    assert [function.__name__ for function in functions] == rewards


def test_length_of_the_experiments() -> None:
    tools, safety = parse("tool-calling").training, parse("safe-alignment").training
    assert (tools.num_train_epochs, tools.max_steps, tools.temperature) == (30, -1, 1.0)
    updates_per_batch = 512 // 128
    assert tools.save_steps == 5 * updates_per_batch
    assert (safety.max_steps, safety.save_steps) == (100 * updates_per_batch, 20 * updates_per_batch)
    assert safety.temperature == 0.7


def test_other_reward_models_of_a_recipe_are_options() -> None:
    own = '{"gd2po.rewards.safety.helpfulness": {"model": "models/useful"}}'
    (helpful, _) = load_reward_funcs(parse("safe-alignment", "--reward_kwargs", own).run)
    assert helpful.keywords == {"model": "models/useful"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "is not valid YAML: expected ',' or ']', but got '<stream end>' (line 1)"),
        (
            b"a: 1\n\tb: 2\n",
            "is not valid YAML: found character '\\t' that cannot start any token (line 2). Indent with blanks",
        ),
        (b"\xff\xfe\x00a", "is not valid YAML"),
        (b"- a", "must hold `key: value` lines: got list"),
        (b"", "must hold `key: value` lines: got nothing"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_without_settings_is_refused_by_name(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"mine.yaml {message}")):
        read_settings(path)
