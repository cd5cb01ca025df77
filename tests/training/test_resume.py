"""A run that was killed and resumed ends where one that was not killed does, to the last bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

STEPS = 8
ARGUMENTS = [
    *("--max_steps", str(STEPS), "--per_device_train_batch_size", "4", "--num_generations", "4"),
    *("--max_completion_length", "48", "--eval_prompts", "0", "--dataset_size", "64", "--report_to", "none"),
    *("--save_steps", "1", "--save_total_limit", "20"),
]


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("gd2po")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [program, "train", *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def complete(*arguments: str | Path) -> None:
    process = start(*arguments)
    assert process.wait(timeout=240) == 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    complete(*ARGUMENTS, "--output_dir", folder)
    return folder


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_and_resumed_run_ends_bit_for_bit_the_same(undisturbed: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    kill_step = chance.randrange(1, STEPS - 1)  # at the last step the run may end before the signal comes
    folder = tmp_path / "killed"
    process = start(*ARGUMENTS, "--output_dir", folder)
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

    checkpoint = folder / f"checkpoint-{kill_step}"
    complete("--config", folder / "config.yaml", "--resume_from_checkpoint", checkpoint)
    assert (folder / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    rollouts = [pd.read_parquet(path / "rollouts") for path in (undisturbed, folder)]
    pd.testing.assert_frame_equal(*rollouts)
    assert rollouts[1]["step"].value_counts().eq(16).all()
