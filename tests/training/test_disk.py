"""Training on a disk that is too small: a small one, made of memory, where this machine may mount it."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from run_checkpoints import write_checkpoint

from gd2po.errors import DiskFullError
from gd2po.training.disk import WarnOfLittleRoom, checkpoint_bytes, naming_what_is_needed
from gd2po.training.train import train_command

RUN = [
    *("--per_device_train_batch_size", "4", "--num_generations", "4", "--max_completion_length", "48"),
    *("--eval_prompts", "0", "--dataset_size", "64", "--save_steps", "1", "--save_total_limit", "9"),
    *("--report_to", "none", "--max_steps", "4", "--html_report", "false"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """40 MB of memory as a disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_run_on_a_full_disk_says_what_it_needs_and_resumes_once_there_is_room(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_disk / "run"
    with pytest.raises(DiskFullError, match="full: 14 MB are needed for the next checkpoint, .*is complete"):
        train_command([*RUN, "--output_dir", str(folder)])
    warned = " ".join(capsys.readouterr().out.split())
    assert "The disk will be full: checkpoints of 14 MB and the trained policy need about" in warned
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-2"]
    assert [path.name for path in folder.rglob("*") if path.name.startswith(".") and path.name != ".lock"] == []

    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    resume = ["--config", str(folder / "config.yaml"), "--resume_from_checkpoint", "latest"]
    assert train_command(resume) == 0
    assert f"Resuming from {folder}/checkpoint-2" in capsys.readouterr().out
    assert json.loads((folder / "summary.json").read_text())["steps"] == 4
    assert len(list((folder / "rollouts").iterdir())) == 4


def test_a_run_whose_disk_is_full_after_its_last_checkpoint_resumes_to_its_end(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_disk / "run"
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    with pytest.raises(DiskFullError, match="`resume_from_checkpoint` latest: checkpoint-2 is complete"):
        train_command([*RUN, "--output_dir", str(folder), "--max_steps", "2", "--save_steps", "2"])
    assert not (folder / "model.safetensors").exists()

    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    assert train_command(["--config", str(folder / "config.yaml"), "--resume_from_checkpoint", "latest"]) == 0
    assert "All steps are trained already" in capsys.readouterr().out
    assert json.loads((folder / "summary.json").read_text())["steps"] == 2
    weights = [(path / "model.safetensors").read_bytes() for path in (folder, folder / "checkpoint-2")]
    assert weights[0] == weights[1]


def trainer_at(step: int) -> types.SimpleNamespace:
    return types.SimpleNamespace(model=torch.nn.Linear(1000, 1000), state=types.SimpleNamespace(global_step=step))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        DiskFullError("The disk is full: no space is left to write a.parquet."),
    ],
)
def test_every_word_for_a_full_disk_becomes_ours_and_nothing_half_stays(tmp_path: Path, error: Exception) -> None:
    write_checkpoint(tmp_path, 2)
    (write_checkpoint(tmp_path, 4) / "trainer_state.json").unlink()
    whole = (tmp_path / "checkpoint-2" / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-1])
    (tmp_path / "adapter_model.safetensors").write_bytes(whole)
    with (
        pytest.raises(DiskFullError, match="13 MB are needed for the next checkpoint, .*: checkpoint-2 is complete"),
        naming_what_is_needed(tmp_path, trainer_at(4)),
    ):
        raise error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_model.safetensors", "checkpoint-2"]


def test_a_run_without_a_checkpoint_is_told_to_start_again(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFullError, match="Make room, and start the run again: it has no checkpoint yet"),
        naming_what_is_needed(tmp_path, trainer_at(1)),
    ):
        raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "no"), ValueError("wrong"), RuntimeError("PytorchStreamWriter failed writing")]
)
def test_any_other_error_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as got, naming_what_is_needed(tmp_path, trainer_at(1)):
        raise error
    assert got.value is error


def test_an_adapter_is_saved_without_the_weights_below_it() -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    assert checkpoint_bytes(model) == 3 * 4_000_000
    model.weight.requires_grad = False
    assert checkpoint_bytes(model) == 4_000_000
    model.peft_config = {}  # type: ignore[assignment]
    assert checkpoint_bytes(model) == 0


@pytest.mark.parametrize(
    ("strategy", "limit", "warns"),
    [("steps", None, True), ("steps", 2, False), ("epoch", None, True), ("no", None, False)],
)
def test_checkpoints_that_will_not_fit_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, limit: int | None, warns: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=45_000_000))
    console = Console(file=io.StringIO())
    arguments = types.SimpleNamespace(save_strategy=strategy, save_total_limit=limit)
    state = types.SimpleNamespace(max_steps=10, global_step=2, save_steps=2, num_train_epochs=5)
    callback = WarnOfLittleRoom(tmp_path, console)
    callback.on_train_begin(arguments, state, None, model=torch.nn.Linear(1000, 1000, bias=False))
    said = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    expected = "The disk will be full: checkpoints of 12 MB and the trained policy need about 52 MB, and"
    assert said.startswith(expected) if warns else not said
