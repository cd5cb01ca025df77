"""`gd2po warm-start` from its command line to a policy, on the built-in policy and a few demonstrations."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.data import builtin_model
from gd2po.data.toolcalls.task import toolcall_examples
from gd2po.errors import ConfigError, DataFormatError, RunFolderError
from gd2po.training.warm_start import warm_start_command

CPU = [
    "--use_cpu",
    "--bf16",
    "false",
    "--report_to",
    "none",
    "--gradient_checkpointing",
    "false",
    "--disable_tqdm",
    "true",
]
BUILTIN = ["--model_name_or_path", "builtin:toolcalls"]


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("demonstrations") / "sft.json"
    rows = [
        {
            "instruction": example.prompt[0]["content"],
            "input": example.request,
            "output": "<think> Always this. </think>",
        }
        for example in islice(toolcall_examples("train", seed=9), 8)
    ]
    file.write_text(json.dumps(rows))
    return str(file)


def test_a_policy_learns_what_it_is_shown(
    demonstrations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = ["--dataset_name", demonstrations, "--output_dir", str(folder), "--logging_steps", "1"]
    more = ["--num_train_epochs", "20", "--learning_rate", "3e-3", "--gradient_accumulation_steps", "1"]
    assert warm_start_command([*BUILTIN, *arguments, *more, *CPU]) == 0
    printed = capsys.readouterr().out
    assert f"gd2po train --config tool-calling --model_name_or_path {folder}" in " ".join(printed.split())
    assert (folder / "config.yaml").is_file()
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = next(toolcall_examples("test", seed=9)).prompt
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    with torch.no_grad():
        output = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(output, skip_special_tokens=True) == "<think> Always this. </think>"


def test_only_the_completion_is_learned(demonstrations: str, tmp_path: Path) -> None:
    """The loss before the first update is that of the completions alone."""
    folder = tmp_path / "run"
    arguments = ["--dataset_name", demonstrations, "--output_dir", str(folder), "--logging_steps", "1"]
    more = ["--max_steps", "1", "--learning_rate", "0", "--per_device_train_batch_size", "1", "--seed", "0"]
    once = ["--gradient_accumulation_steps", "1", "--dataset_size", "1"]
    assert warm_start_command([*BUILTIN, *arguments, *more, *once, *CPU]) == 0
    logged = json.loads((folder / "trainer_state.json").read_text())["log_history"][0]["loss"]
    model = AutoModelForCausalLM.from_pretrained(builtin_model("builtin:toolcalls"))
    tokenizer = AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))
    row = json.loads(Path(demonstrations).read_text())[0]
    turns = [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": row["input"]}]
    before = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": row["output"]}], tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
    start = len(tokenizer(before, add_special_tokens=False)["input_ids"])
    labels = ids.clone()
    labels[:, :start] = -100
    with torch.no_grad():
        assert logged == pytest.approx(float(model(ids, labels=labels).loss), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], ConfigError, "`dataset_name` is missing: name the demonstrations"),
        (["--dataset_name", "nowhere.json"], DataFormatError, "there is no file 'nowhere.json'"),
    ],
)
def test_missing_demonstrations_are_named(
    arguments: list[str], error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(error, match=message):
        warm_start_command([*BUILTIN, *arguments, "--output_dir", str(folder), *CPU])
    assert not folder.exists()


def test_a_folder_with_another_run_is_left_alone(demonstrations: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty"):
        warm_start_command([*BUILTIN, "--dataset_name", demonstrations, "--output_dir", str(tmp_path), *CPU])
    assert (tmp_path / "config.yaml").read_text() == "mine"
