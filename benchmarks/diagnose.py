"""Speed and memory of `gd2po diagnose` on logs of 1, 2 and 5 million rollouts.

    python benchmarks/diagnose.py [--millions 1 2 5] [--layout sorted] [--format parquet] [--json FILE]
    python benchmarks/diagnose.py --millions 6.4 --layout run    # 100,000 steps of 64 rollouts, in a minute at most

Each log has four rewards and is read by a process of its own, whose time includes the start and the page. Layouts:
"sorted" has steps of 512 prompts x 8 rollouts in order, "one-step" puts all into one step, "shuffled" mixes all rows,
"texts" adds a prompt and a completion to every rollout and no group column, "run" is the folder of a long run whose
rollout log has been rolled up: steps of 8 prompts x 8 rollouts, all columns, a row group per step, 200 steps to a file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from gd2po.logs.roll_up import STEPS_PER_FILE
from gd2po.runs.rollout_files import FOLDER, file_name

PROMPTS, GROUP_SIZE, REWARDS = 512, 8, 4
STEP = PROMPTS * GROUP_SIZE
RUN_STEP = 8 * GROUP_SIZE
SECONDS_PER_MILLION = 20.0
GIBIBYTES = 2.0
LINEAR_WITHIN = 1.3
"""The time per rollout may grow by this from the smallest log to the largest."""

PROGRAM = """
import re, resource, sys
from pathlib import Path
import gd2po.diagnosis as d

diagnosis = d.diagnose(d.RewardLog(sys.argv[1]))
d.write_html(diagnosis, sys.argv[1] + ".html")
# What resource says of a new process is never less than what the process that started it took.
status = Path("/proc/self/status")
found = re.search(r"VmHWM:\\s*(\\d+)", status.read_text()) if status.exists() else None
print(diagnosis.source.rollouts, found[1] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Reading:
    """One log, read once."""

    rollouts: int
    seconds: float
    gibibytes: float
    """Peak resident memory of the process."""
    file_megabytes: float


def make_tables(rollouts: int, layout: str) -> Iterator[pa.Table]:
    """The log in parts of whole steps."""
    random = np.random.default_rng(0)
    part = 64 * STEP
    order = random.permutation(rollouts) if layout == "shuffled" else None
    for start in range(0, rollouts, part):
        rows = np.arange(start, min(start + part, rollouts))
        quality = random.normal(size=len(rows))
        rewards = 0.5 * quality[:, None] + random.normal(size=(len(rows), REWARDS))
        rewards[:, 0] = rewards[:, 0] > 0
        rewards[:, 1] = np.round(rewards[:, 1], 1)
        index = rows if order is None else order[rows]
        step, group = index // STEP, index % STEP // GROUP_SIZE
        if layout == "one-step":
            step, group = np.zeros_like(index), index // GROUP_SIZE
        columns = {"step": step, "group": group} | {
            f"reward/{k}": rewards[:, k].astype(np.float32) for k in range(REWARDS)
        }
        if layout == "texts":
            columns["prompt"] = [
                f"Prompt {s} {g}: " + "tell me more about it " * 10 for s, g in zip(step, group, strict=True)
            ]
            columns["completion"] = [f"Completion {row}: " + "so it goes " * 20 for row in rows]
            del columns["group"]
        yield pa.table(columns)


def write_log(path: Path, rollouts: int, layout: str) -> None:
    """Write the log in the format that the path ends in."""
    writer = None
    for table in make_tables(rollouts, layout):
        if path.suffix == ".jsonl":
            with path.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
            continue
        if writer is None:
            make = pq.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
            writer = make(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def write_run(folder: Path, rollouts: int) -> None:
    """Write the rolled-up log of a run into its folder."""
    random = np.random.default_rng(0)
    steps = rollouts // RUN_STEP
    for first in range(1, steps + 1, STEPS_PER_FILE):
        last = min(first + STEPS_PER_FILE - 1, steps)
        path = folder / FOLDER / file_name(first, last)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        for step in range(first, last + 1):
            table = make_step(step, random)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def make_step(step: int, random: np.random.Generator) -> pa.Table:
    """The rollouts of a step, as a trainer logs them."""
    rewards = 0.5 * random.normal(size=(RUN_STEP, 1)) + random.normal(size=(RUN_STEP, REWARDS))
    rewards[:, 0] = rewards[:, 0] > 0
    numbers = random.normal(size=(2, RUN_STEP)).astype(np.float32)
    flags = random.random((3, RUN_STEP)) < 0.5
    return pa.table(
        {"step": np.full(RUN_STEP, step), "group": np.arange(RUN_STEP) // GROUP_SIZE}
        | {
            "prompt": [f"Prompt {step} {row // GROUP_SIZE}: " + "tell me more " * 10 for row in range(RUN_STEP)],
            "completion": [f"Completion {step} {row}: " + "so it goes " * 20 for row in range(RUN_STEP)],
        }
        | {f"reward/{k}": rewards[:, k].astype(np.float32) for k in range(REWARDS)}
        | {"advantage": numbers[0], "kept": flags[0], "conflict": flags[1], "snr": numbers[1]}
        | {"keep_ratio": np.ones(RUN_STEP, np.float32), "signal": flags[2]}
        | {"completion_tokens": random.integers(20, 60, RUN_STEP)}
    )


def read_log(path: Path) -> Reading:
    """Diagnose the log in a process of its own, page and all."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    rollouts, peak = (int(number) for number in done.stdout.split())
    # Linux counts in kibibytes, macOS in bytes.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return Reading(rollouts, seconds, peak / unit, sum(file.stat().st_size for file in files) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 2, 5], help="sizes of the logs")
    parser.add_argument("--layout", choices=["sorted", "one-step", "shuffled", "texts", "run"], default="sorted")
    parser.add_argument("--format", choices=["parquet", "csv", "jsonl"], default="parquet")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    arguments = parser.parse_args()

    readings = []
    print(f"gd2po diagnose, {arguments.format}, {arguments.layout}, {REWARDS} rewards, groups of {GROUP_SIZE}")
    print(f"{'rollouts':>10}  {'file':>8}  {'time':>8}  {'per million':>11}  {'peak memory':>11}  target")
    with tempfile.TemporaryDirectory() as folder:
        for millions in arguments.millions:
            path = Path(folder, str(millions), f"log.{arguments.format}")
            path.parent.mkdir()
            if arguments.layout == "run":
                path = path.parent
                write_run(path, int(millions * 1e6))
            else:
                write_log(path, int(millions * 1e6), arguments.layout)
            reading = read_log(path)
            shutil.rmtree(Path(folder, str(millions)))
            readings.append(reading)
            per_million = 1e6 * reading.seconds / reading.rollouts
            grown = per_million / (1e6 * readings[0].seconds / readings[0].rollouts)
            reached = per_million < SECONDS_PER_MILLION and grown < LINEAR_WITHIN and reading.gibibytes < GIBIBYTES
            print(
                f"{reading.rollouts:>10,}  {reading.file_megabytes:>5.0f} MB  {reading.seconds:>6.1f} s  "
                f"{per_million:>9.1f} s  {reading.gibibytes:>7.2f} GiB  < {SECONDS_PER_MILLION:g} s per million, "
                f"linear, < {GIBIBYTES:g} GiB {'reached' if reached else 'MISSED'}"
            )
    if arguments.json:
        arguments.json.write_text(
            json.dumps([asdict(reading) for reading in readings], indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
