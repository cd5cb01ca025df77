from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_checkpoints import Attack, write_checkpoint

from gd2po.errors import ConfigError
from gd2po.runs.checkpoints import damage, find_resume, newest_complete

FILES = [
    "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "config.json",
    "trainer_state.json",
]  # fmt: skip


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_a_checkpoint_as_it_is_written_is_complete(tmp_path: Path) -> None:
    assert damage(write_checkpoint(tmp_path, 4)) is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, name: str, share: float) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    cut(checkpoint / name, share)
    if name == "config.json" and share == 0.9:
        assert (checkpoint / name).read_text() == "{"
    assert str(damage(checkpoint)).startswith(f"{name} is damaged (")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("trainer_state.json", "trainer_state.json is missing, which is written last"),
        ("model.safetensors", "its weights are missing"),
        ("optimizer.pt", "the state of the optimizer is missing"),
    ],
)
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str, reason: str) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    (checkpoint / name).unlink()
    assert damage(checkpoint) == reason


def test_weights_in_several_files_must_all_be_there(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (checkpoint / "model.safetensors").rename(checkpoint / parts[0])
    index = {"weight_map": {"weight": parts[0], "bias": parts[1]}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    assert damage(checkpoint) == f"model.safetensors.index.json is damaged ({parts[1]} is missing)"
    shutil.copy(checkpoint / parts[0], checkpoint / parts[1])
    assert damage(checkpoint) is None


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
@pytest.mark.parametrize("dump", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_a_state_that_would_run_code_is_not_loaded(
    tmp_path: Path, name: str, dump: Callable[[Any, Path], object]
) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    dump({"state": Attack(tmp_path / "attacked")}, checkpoint / name)
    assert str(damage(checkpoint)).startswith(f"{name} is damaged (")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    "state",
    ["[]", "4", "{}", '{"global_step": "4"}', '{"global_step": true}', '{"global_step": 4, "x": 1}', "[" * 10**5],
)
def test_a_state_that_the_trainer_could_not_load_is_damaged(tmp_path: Path, state: str) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    (checkpoint / "trainer_state.json").write_text(state)
    assert str(damage(checkpoint)).startswith("trainer_state.json is damaged (")


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"])
def test_no_flipped_bytes_end_in_another_error(tmp_path: Path, name: str) -> None:
    checkpoint = write_checkpoint(tmp_path, 4)
    data, chance = (checkpoint / name).read_bytes(), random.Random(name)
    for _ in range(100):
        changed = bytearray(data)
        for _ in range(chance.choice([1, 8])):
            changed[chance.randrange(len(data))] = chance.randrange(256)
        (checkpoint / name).write_bytes(changed)
        reason = damage(checkpoint)
        assert reason is None or reason.startswith(f"{name} is damaged (")


def test_latest_is_the_newest_complete_one_and_says_what_it_passed_over(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-12").mkdir()  # killed at its beginning
    (tmp_path / "checkpoint-notes").mkdir()
    cut(tmp_path / "checkpoint-10" / "optimizer.pt", 0.5)
    for latest in ("latest", True):
        resume = find_resume(latest, tmp_path)
        assert resume is not None
        assert resume.checkpoint == tmp_path / "checkpoint-4"
        assert resume.notes[0] == ("Passed over checkpoint-12: trainer_state.json is missing, which is written last.")
        assert resume.notes[1].startswith("Passed over checkpoint-10: optimizer.pt is damaged (")
    assert newest_complete(tmp_path, before_step=4)[0] == tmp_path / "checkpoint-2"


def test_a_damaged_checkpoint_that_is_named_is_refused_with_the_one_to_take(tmp_path: Path) -> None:
    good, bad = write_checkpoint(tmp_path, 2), write_checkpoint(tmp_path, 4)
    cut(bad / "model.safetensors", 0.5)
    with pytest.raises(
        ConfigError, match=r"checkpoint-4 cannot be resumed from: model.safetensors is damaged .*"
    ) as got:
        find_resume(str(bad), tmp_path)
    assert str(got.value).endswith(f"The newest that can be is {good}.")
    shutil.rmtree(good)
    with pytest.raises(ConfigError, match="No other checkpoint beside it can be"):
        find_resume(str(bad), tmp_path)


def test_an_earlier_checkpoint_that_is_named_says_what_stays(tmp_path: Path) -> None:
    for step in (2, 4):
        write_checkpoint(tmp_path, step)
    resume = find_resume(str(tmp_path / "checkpoint-2"), tmp_path)
    assert resume is not None
    assert resume.notes == ("Later checkpoints stay until the run writes them again: checkpoint-4.",)


def test_latest_without_a_complete_checkpoint_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no complete checkpoint. Start the run again"):
        find_resume("latest", tmp_path)
    (write_checkpoint(tmp_path, 2) / "trainer_state.json").unlink()
    with pytest.raises(ConfigError, match="holds no complete checkpoint: checkpoint-2: trainer_state.json is missing"):
        find_resume("latest", tmp_path)


def test_a_run_that_resumes_nowhere_starts_anew(tmp_path: Path) -> None:
    assert find_resume(None, tmp_path) is None
    assert find_resume(False, tmp_path) is None
