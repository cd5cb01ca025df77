"""Two processes do what one does, also where a group is split between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

WORKER = Path(__file__).with_name("process_worker.py")
TIMES = ("step_time", "runtime", "per_second", "profiling", "total_flos")


def run(folder: Path, *rollouts: int, processes: int) -> Path:
    # Accelerate starts several processes under this name only; ACCELERATE_USE_CPU keeps them on the CPU.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"]
    launcher += ["--dynamo_backend", "no", "--num_processes", str(processes), "--main_process_port", "0"]
    several = launcher if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *several, WORKER, folder, *map(str, rollouts)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process and two leave of all runs that the tests ask for: the start of a process costs most."""
    rollouts = {item.callspec.params["rollouts"] for item in request.session.items if item.path == request.path}
    folder = tmp_path_factory.mktemp("processes")
    return tuple(run(folder / str(processes), *rollouts, processes=processes) for processes in (1, 2))


# Of 12 rollouts, each process has one group and half of another; 16 are whole groups.
@pytest.mark.parametrize("rollouts", [12, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sampling", ["plain", "dynamic"])
def test_two_processes_do_what_one_does(folders: tuple[Path, Path], rollouts: int, sampling: str) -> None:
    one, two = (folder / str(rollouts) / sampling for folder in folders)

    tables = [pd.read_parquet(folder / "rollouts") for folder in (one, two)]
    assert len(tables[0]) == 2 * rollouts
    assert not tables[0]["kept"].all()
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)

    logs = [json.loads((folder / "trainer_state.json").read_text())["log_history"] for folder in (one, two)]
    if sampling == "dynamic":
        assert logs[0][0]["conflict/num_gen_batches"] > 1
        assert tables[0]["signal"].all()
    for first, second in zip(*logs, strict=True):
        assert first.keys() == second.keys()
        for name in first:
            if not any(word in name for word in (*TIMES, "entropy", "clip_ratio", "skipped", "num_tokens")):
                assert first[name] == pytest.approx(second[name], rel=1e-4, abs=1e-6, nan_ok=True), name

    weights = [load_file(folder / "model.safetensors") for folder in (one, two)]
    for name, value in weights[0].items():
        assert value.numpy() == pytest.approx(weights[1][name].numpy(), abs=1e-5), name
