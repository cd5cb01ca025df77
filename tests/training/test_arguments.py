from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gd2po.errors import ConfigError
from gd2po.recipes import recipe_command, recipe_names, recipe_path, recipe_summary
from gd2po.training.arguments import ParsedRun, parse_run, parse_warm_start

OUTPUT_DIR = "runs/{recipe}-now"


CPU = ["--use_cpu", "--bf16", "false"]


def parse(*argv: str) -> ParsedRun:
    return parse_run(argv, OUTPUT_DIR)


def yaml_file(tmp_path: Path, **values: Any) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"use_cpu": True, "bf16": False, **values}))
    return str(path)


def test_no_argument_is_the_quickstart() -> None:
    parsed = parse()
    assert parsed.recipe == "quickstart"
    assert parsed.model.model_name_or_path == "builtin:toolcalls"
    assert parsed.run.reward_funcs == ["tool_call_correctness", "tool_call_format", "think_length"]
    assert parsed.training.advantage_estimator == "gd2po"
    assert parsed.training.output_dir == "runs/quickstart-now"


def test_the_command_line_wins_over_the_recipe() -> None:
    parsed = parse("--config", "quickstart", "--snr_threshold", "0.7", "--max-steps", "3", "--output_dir", "elsewhere")
    assert parsed.training.snr_threshold == 0.7
    assert parsed.training.max_steps == 3
    assert parsed.training.output_dir == "elsewhere"


@pytest.mark.parametrize("spelling", [["--snr_threshold", "auto"], ["--snr_threshold=auto"]])
def test_the_adaptive_threshold_can_be_asked_for(spelling: list[str]) -> None:
    assert parse(*spelling).training.snr_threshold == "auto"


def test_a_data_set_or_model_of_ones_own_does_not_inherit_the_quickstart() -> None:
    parsed = parse("--model_name_or_path", "my/model", "--dataset_name", "my.parquet", "--use_cpu", "--bf16", "false")
    assert parsed.recipe == ""
    assert parsed.run.reward_funcs is None
    assert parsed.training.output_dir == "runs/run-now"


def test_a_yaml_file_is_read(tmp_path: Path) -> None:
    parsed = parse("--config", yaml_file(tmp_path, learning_rate="3e-6", reward_kwargs={"think_length": {"low": 0.1}}))
    assert parsed.training.learning_rate == 3e-6
    assert parsed.run.reward_kwargs == {"think_length": {"low": 0.1}}
    assert parsed.training.output_dir == "runs/mine-now"


WEIGHTS = {"tool_call_correctness": 2.0, "think_length": 0.5}
FAMILIES = {"tool_call_correctness": "call", "tool_call_format": "call"}
CONDITION = {"reward": "think_length", "on": "tool_call_format", "threshold": 1.0, "otherwise": 0.0}


@pytest.mark.parametrize(
    "words",
    [
        "--reward_weights tool_call_correctness=2 think_length=0.5 --reward_families tool_call_correctness=call "
        "tool_call_format=call --reward_kwargs think_length.target_words=20 think_length.low=0.5",
        "--reward_weights tool_call_correctness=2,think_length=0.5 --reward_families tool_call_correctness=call,"
        "tool_call_format=call --reward_kwargs think_length.target_words=20,think_length.low=0.5",
        "--reward_weights '{tool_call_correctness: 2, think_length: 0.5}' --reward_families "
        '\'{"tool_call_correctness": "call", "tool_call_format": "call"}\' '
        "--reward_kwargs '{think_length: {target_words: 20, low: 0.5}}'",
    ],
    ids=["words", "commas", "JSON and YAML"],
)
def test_options_of_rewards_are_the_same_however_they_are_written(tmp_path: Path, words: str) -> None:
    condition = "[{reward: think_length, on: tool_call_format, threshold: 1.0}]"
    parsed = parse("--config", "quickstart", *shlex.split(words), "--reward_conditions", condition)
    expected = {
        "reward_weights": WEIGHTS, "reward_families": FAMILIES, "reward_conditions": [CONDITION],
        "reward_kwargs": {"think_length": {"target_words": 20, "low": 0.5}},
    }  # fmt: skip
    assert {name: parsed.resolved[name] for name in expected} == expected
    assert {name: parsed.changed[name] for name in expected} == expected
    from_yaml = parse("--config", yaml_file(tmp_path, **{**expected, "reward_conditions": yaml.safe_load(condition)}))
    assert {name: from_yaml.resolved[name] for name in expected} == expected
    for training in (from_yaml.training, parsed.training):
        assert training.with_weights_in_order(parsed.run.reward_funcs).reward_weights == [2.0, 1.0, 0.5]


def test_the_resolved_configuration_gives_the_same_run_again(tmp_path: Path) -> None:
    overrides = "--snr_threshold 0.55 --reward_weights 1 2 1 --lora_r 4 --hub_token secret"
    first = parse(*overrides.split())
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(first.resolved))
    assert "secret" not in path.read_text()
    second = parse("--config", str(path))
    assert second.training.snr_threshold == 0.55
    assert second.training.reward_weights == [1, 2, 1]
    assert second.model.lora_r == 4
    assert second.resolved == {**first.resolved}


def test_weights_that_move_and_conditions_come_from_yaml_and_from_the_command_line(tmp_path: Path) -> None:
    ramp = {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 90}
    condition = {"reward": "think_length", "on": "tool_call_correctness", "threshold": 3.0, "otherwise": 0.0}
    from_yaml = parse(
        "--config", yaml_file(tmp_path, max_steps=90, reward_weights=[1.0, ramp], reward_conditions=[condition])
    ).training
    words = ["--max_steps", "90", "--reward_weights", "1.0", json.dumps(ramp)]
    parsed = parse("--config", yaml_file(tmp_path), *words, "--reward_conditions", json.dumps([condition]))
    for training in (from_yaml, parsed.training):
        assert training.weights().at(90) == [1.0, 1.0]
        assert training.conditions().plain() == [condition]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(parsed.resolved))
    again = parse("--config", str(path)).training
    assert (again.weights(), again.conditions()) == (parsed.training.weights(), parsed.training.conditions())
    with pytest.raises(ConfigError, match="ends at step 90, and the run has 91 steps"):
        parse("--config", str(path), "--max_steps", "91")


def test_no_held_out_prompts_on_the_command_line_means_that_nothing_of_the_recipe_scores_them(tmp_path: Path) -> None:
    recipe = {"eval_prompts": 8, "eval_every": 2, "eval_funcs": ["think_length"], "eval_kwargs": {"think_length": {}}}
    path = yaml_file(tmp_path, **recipe)
    assert parse("--config", path).run.eval_funcs == ["think_length"]
    for off in (["--eval_prompts", "0"], ["--eval-prompts=0"]):
        parsed = parse("--config", path, *off)
        assert (parsed.run.eval_funcs, parsed.run.eval_kwargs, parsed.run.eval_every) == (None, None, 0)
        assert parsed.resolved["eval_funcs"] is None
        with pytest.raises(ConfigError, match="`eval_funcs` needs held-out prompts"):
            parse("--config", path, *off, "--eval_funcs", "exact_calls")
    with pytest.raises(ConfigError, match="`eval_funcs` needs held-out prompts"):
        parse("--config", yaml_file(tmp_path, **{**recipe, "eval_prompts": 0, "eval_every": 0}))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config", "quikstart"], "Did you mean 'quickstart'"),
        (["--config", "nothing.yaml"], "The recipes are: .*quickstart"),
        (["--config"], "`config` needs a recipe"),
        (["--snr_thresold", "0.4"], "unknown key `snr_thresold`. Did you mean 'snr_threshold'"),
        (["--no-such-thing-at-all"], "unknown key `no-such-thing-at-all`"),
        (["--max_steps", "many"], "Argument --max_steps.*: invalid int value: 'many'"),
        (["--advantage_estimator", "gdop"], "invalid choice|invalid value|gdop"),
        (["--snr_threshold", "1.4"], "`snr_threshold` must be a number"),
        (["stray"], "Not understood: stray"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(argv: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(*argv)


def test_an_unknown_key_in_a_file_is_named_with_the_nearest_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key `filterin`. Did you mean 'filtering'"):
        parse("--config", yaml_file(tmp_path, filterin="hard"))


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "is not valid YAML"), ("- a\n- b\n", "must hold `key: value`")]
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        parse("--config", str(path))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_its_command_hardware_and_result(name: str) -> None:
    parse_recipe = {"train": parse_run, "warm-start": parse_warm_start}[recipe_command(name)]
    assert parse_recipe(["--config", name, *CPU], OUTPUT_DIR).recipe == name
    head = recipe_path(name).read_text()[:600]
    for word in ("Command:", "Hardware:", "Expected:"):
        assert word in head
    assert recipe_summary(name)


def test_a_recipe_of_another_command_says_which() -> None:
    with pytest.raises(ConfigError, match="The recipe 'warm-start' is run by `gd2po warm-start --config warm-start`"):
        parse("--config", "warm-start")
    with pytest.raises(ConfigError, match="The recipe 'quickstart' is run by `gd2po train --config quickstart`"):
        parse_warm_start(["--config", "quickstart"], OUTPUT_DIR)


def test_a_wrong_field_of_a_warm_start_names_its_own_help() -> None:
    with pytest.raises(ConfigError, match="unknown key `filtering`. `gd2po warm-start --help-all` lists every field"):
        parse_warm_start(["--filtering", "hard", *CPU], OUTPUT_DIR)
    with pytest.raises(ConfigError, match="invalid int value: 'many'. `gd2po warm-start --help-all`"):
        parse_warm_start(["--max_steps", "many", *CPU], OUTPUT_DIR)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine's GPU computes in bfloat16")
def test_bfloat16_without_a_gpu_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="`bf16` needs a GPU .* Set it to false, on a CPU with `use_cpu`"):
        parse("--config", "tool-calling")


def test_a_warm_start_refuses_numbers_that_nobody_can_mean() -> None:
    with pytest.raises(ConfigError, match="`max_steps` must be a whole number of at least 1, or -1: got -5"):
        parse_warm_start(["--max_steps", "-5", *CPU], OUTPUT_DIR)
    with pytest.raises(ConfigError, match="`lora_r` must be a whole number of at least 1: got 0"):
        parse_warm_start(["--lora_r", "0", *CPU], OUTPUT_DIR)


def test_what_trl_refuses_is_an_error_of_ours() -> None:
    with pytest.raises(ConfigError, match="'generation_batch_size' and 'steps_per_generation' can not be both"):
        parse("--generation_batch_size", "64", "--steps_per_generation", "1", *CPU)
