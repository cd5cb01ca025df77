"""What the benchmarks share: fair timing in one process, one table, one JSON file."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Measurement:
    """One row of a benchmark's table."""

    name: str
    milliseconds: float
    """Median over the repeats."""
    ratio: float | None = None
    """The speed-up or slow-down that the row's name describes."""
    target: str = ""
    reached: bool | None = None


def median_milliseconds(functions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median time of each function, the functions taking turns so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat > 0:  # the first round warms caches and the allocator up
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def print_table(title: str, measurements: Sequence[Measurement]) -> None:
    """Print the measurements, one per line."""
    width = max(len(measurement.name) for measurement in measurements)
    print(f"{title}\n{'':{width}}  {'median':>10}  {'ratio':>7}  target")
    for measurement in measurements:
        ratio = "" if measurement.ratio is None else f"{measurement.ratio:.2f}x"
        verdict = {None: "", True: "reached", False: "MISSED"}[measurement.reached]
        line = f"{measurement.name:{width}}  {measurement.milliseconds:>7.2f} ms  {ratio:>7}"
        print(f"{line}  {measurement.target} {verdict}".rstrip())


def report(title: str, measurements: Sequence[Measurement], json_file: Path | None) -> None:
    """Print the measurements, and write them to a file if there is one."""
    print_table(title, measurements)
    if json_file is not None:
        write_json(json_file, title, measurements)


def write_json(path: Path, title: str, measurements: Sequence[Measurement]) -> None:
    """Write the measurements with what they were taken on."""
    document = {
        "title": title,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
