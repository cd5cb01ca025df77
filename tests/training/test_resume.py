"""A run that was killed and resumed ends where one that was not killed does, to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from gd2po import CosineSchedule

pytestmark = pytest.mark.slow

STEPS = 8
STEPS_PER_FILE = 3
ARGUMENTS = [
    *("--max_steps", str(STEPS), "--per_device_train_batch_size", "4", "--num_generations", "4"),
    *("--max_completion_length", "48", "--eval_prompts", "0", "--dataset_size", "64", "--report_to", "none"),
    *("--save_steps", "1", "--save_total_limit", "20"),
]

PROGRAM = f"""
import gd2po.logs.roll_up
from gd2po.cli import main
gd2po.logs.roll_up.STEPS_PER_FILE = {STEPS_PER_FILE}
main()
"""


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, "train", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def complete(*arguments: str | Path) -> None:
    process = start(*arguments)
    assert process.wait(timeout=240) == 0


MOVING = [
    *("--reward_weights", "1.0", '{"schedule": "step", "values": {"1": 0.0, "4": 1.0}}'),
    f'{{"schedule": "cosine", "start": 1.0, "end": 0.1, "steps": {STEPS}}}',
    *("--reward_conditions", '[{"reward": "think_length", "on": "tool_call_correctness", "threshold": 3.0}]'),
]
"""Weights of the three rewards, two of which move, and a condition."""
DYNAMIC = ["--dynamic_sampling", "true", "--max_num_gen_batches", "4"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    complete(*ARGUMENTS, "--output_dir", folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed_with_dynamic_sampling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "dynamic"
    complete(*ARGUMENTS, *DYNAMIC, "--output_dir", folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed_with_moving_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "moving"
    complete(*ARGUMENTS, *MOVING, "--output_dir", folder)
    return folder


def kill_and_resume(folder: Path, seed: int, *arguments: str) -> None:
    """A run that is killed at some step, anywhere in it, and resumed from its last checkpoint."""
    chance = random.Random(seed)
    kill_step = chance.randrange(1, STEPS - 1)  # at the last step the run may end before the signal comes
    process = start(*ARGUMENTS, *arguments, "--output_dir", folder)
    try:
        deadline = time.monotonic() + 120
        while not (folder / "rollouts" / f"step_{kill_step + 1:06d}.parquet").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5))  # anywhere in the step
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "model.safetensors").exists()
    # The kill may have hit the next checkpoint while it was written: then that one is passed over.
    complete("--config", folder / "config.yaml", "--resume_from_checkpoint", "latest")


def assert_the_same(folder: Path, undisturbed: Path) -> pd.DataFrame:
    """The rollouts of both, which are the same, as the weights of the policy are."""
    assert (folder / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    names = [sorted(path.name for path in (run / "rollouts").iterdir()) for run in (undisturbed, folder)]
    assert names[1] == names[0]
    assert len(names[0]) == STEPS // STEPS_PER_FILE + STEPS % STEPS_PER_FILE
    rollouts = [pd.read_parquet(path / "rollouts") for path in (undisturbed, folder)]
    pd.testing.assert_frame_equal(*rollouts)
    assert rollouts[1]["step"].value_counts().eq(16).all()
    return rollouts[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_and_resumed_run_ends_bit_for_bit_the_same(undisturbed: Path, tmp_path: Path, seed: int) -> None:
    kill_and_resume(tmp_path / "killed", seed)
    assert_the_same(tmp_path / "killed", undisturbed)


@pytest.mark.parametrize("seed", range(2))
def test_weights_that_move_go_on_where_they_were(
    undisturbed_with_moving_weights: Path, tmp_path: Path, seed: int
) -> None:
    kill_and_resume(tmp_path / "killed", seed, *MOVING)
    rollouts = assert_the_same(tmp_path / "killed", undisturbed_with_moving_weights)
    by_step = rollouts.groupby("step")[["weight/tool_call_format", "weight/think_length"]].first()
    assert by_step["weight/tool_call_format"].tolist() == [0.0] * 3 + [1.0] * 5
    expected = [CosineSchedule(1.0, 0.1, steps=STEPS)(step) for step in range(1, STEPS + 1)]
    assert by_step["weight/think_length"].tolist() == expected


def test_replacements_are_drawn_as_if_nothing_had_happened(
    undisturbed_with_dynamic_sampling: Path, tmp_path: Path
) -> None:
    kill_and_resume(tmp_path / "killed", 0, *DYNAMIC)
    assert_the_same(tmp_path / "killed", undisturbed_with_dynamic_sampling)
    history = json.loads((tmp_path / "killed" / "trainer_state.json").read_text())["log_history"]
    assert any(entry.get("conflict/num_gen_batches", 1) > 1 for entry in history)
