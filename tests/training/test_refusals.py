"""What TRL and transformers refuse is one line; what nobody meant keeps its traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer, GenerationConfig
from trl import GRPOConfig

from gd2po.data import builtin_model
from gd2po.errors import ConfigError
from gd2po.training.arguments import parse_run
from gd2po.training.refusals import in_one_line
from gd2po.training.train import train_command
from gd2po.training.warm_start import warm_start_command

OWN = [
    *("--dataset_name", "builtin:toolcalls", "--dataset_size", "8", "--reward_funcs", "think_length"),
    *("--num_generations", "2", "--per_device_train_batch_size", "2", "--use_cpu", "--bf16", "false"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report_to", "wnadb"], "`report_to`: there is no 'wnadb'. Did you mean 'wandb'?"),
        (["--report_to", "tensorboard", "wnadb"], "there is no 'wnadb'"),
        (["--loss_type", "dopa"], "`loss_type` must be one of grpo, dr_grpo, dapo"),
        (["--deepspeed", "zero3.json"], "deepspeed"),
        (["--use_peft", "--lora_target_modules", "nothing"], "Target modules nothing not found in the base model"),
        (["--attn_implementation", "quick"], 'Specified `attn_implementation="quick"` is not supported'),
        (["--save_strategy", "best"], "`args.metric_for_best_model` must be provided"),
        (["--gguf_file", "x.gguf"], "`gguf_file`: .* holds no 'x.gguf'; it holds no file in GGUF"),
        (["--reward_weights", "1", "2"], "`reward_weights` needs one weight per reward: expected 3"),
    ],
)
def test_a_refusal_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        train_command(["--output_dir", str(tmp_path / "run"), "--eval_prompts", "0", *arguments])
    assert "\n" not in str(caught.value)


def test_a_model_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "small.Q4.gguf").touch()
    (tmp_path / "gguf" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for model, message in (
        ("no/such", "`model_name_or_path`: cannot load 'no/such': "),
        (f"{tmp_path}/nowhere", "there is no folder"),
        (f"{tmp_path}/empty", "holds no model: it has no config.json"),
        (f"{tmp_path}/gguf", r"holds weights in GGUF. Name the file in `gguf_file`: small\.Q4\.gguf"),
        (f"{tmp_path}/gguf/small.Q4.gguf", r"is a file. Name its folder, .*, and the file in `gguf_file`: small"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            train_command([*OWN, "--model_name_or_path", model, "--output_dir", str(tmp_path / "run")])
        assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(builtin_model("builtin:toolcalls"), pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    demonstrations = tmp_path / "demonstrations.json"
    demonstrations.write_text(json.dumps([{"prompt": "a", "completion": "b"}]))
    own = ["--model_name_or_path", str(pickled), "--output_dir", str(tmp_path / "run")]
    with pytest.raises(ConfigError, match=r"no file named model\.safetensors"):
        train_command([*OWN, *own])
    with pytest.raises(ConfigError, match=r"no file named model\.safetensors"):
        warm_start_command([*own, "--dataset_name", str(demonstrations), "--use_cpu", "--bf16", "false"])


def test_a_warm_start_refuses_in_one_line_too(tmp_path: Path) -> None:
    file = tmp_path / "demonstrations.json"
    file.write_text(json.dumps([{"prompt": "a", "completion": "b"}]))
    own = ["--dataset_name", str(file), "--bf16", "false", "--use_cpu", "--output_dir", str(tmp_path / "run")]
    with pytest.raises(ConfigError, match="cannot load 'no/such'"):
        warm_start_command([*own, "--model_name_or_path", "no/such"])


def test_trackers_are_named_as_words_and_as_a_list(tmp_path: Path) -> None:
    assert parse_run(["--report_to", "wandb", "tensorboard"], "runs/x").training.report_to == ["wandb", "tensorboard"]
    assert parse_run(["--report_to", "none"], "runs/x").training.report_to == []
    recipe = tmp_path / "own.yaml"
    recipe.write_text("report_to: [wandb, trackio]\nbf16: false\nuse_cpu: true\n")
    parsed = parse_run(["--config", str(recipe)], "runs/x")
    assert parsed.training.report_to == ["wandb", "trackio"]
    assert parsed.resolved["report_to"] == ["wandb", "trackio"]


def test_an_error_that_no_library_raised_on_purpose_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), in_one_line():
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="of ours") as ours, in_one_line():
        raise ValueError("of ours")
    assert type(ours.value) is ValueError
    with pytest.raises(TypeError), in_one_line():  # a mistake in a call, not a refusal
        GenerationConfig.from_pretrained()
    with pytest.raises(ConfigError, match="^it: "), in_one_line("it"):
        AutoTokenizer.from_pretrained("no/such")
    with pytest.raises(ConfigError, match="at least 2 generations"), in_one_line():
        GRPOConfig(output_dir="x", num_generations=1, per_device_train_batch_size=2, bf16=False, use_cpu=True)
