"""Constructed reward logs of every kind, the files that they are written to, and short ways to read them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gd2po.diagnosis import RewardLog
from gd2po.diagnosis.numbers.sample import Step
from gd2po.logs.grouping import Rows

Columns = dict[str, list[Any]]


def read(log: RewardLog, *, in_order: bool = True) -> Rows:
    """All rollouts of a log."""
    none = Rows(*(np.zeros(0, dtype=np.int64) for _ in range(5)))  # type: ignore[arg-type]
    return Rows.join([chunk.rows for chunk in log.chunks(in_order=in_order)] or [none])


def group_rewards(log: RewardLog, *, in_order: bool = True) -> list[list[list[float]]]:
    """The rewards of each group, as nested lists."""
    groups = []
    for chunk in log.chunks(in_order=in_order):
        ends = [*chunk.group_starts[1:], len(chunk.rows)]
        groups += [chunk.rows.rewards[begin:end].tolist() for begin, end in zip(chunk.group_starts, ends, strict=True)]
    return groups


def step(number: int, rewards: torch.Tensor, group_size: int = 4) -> Step:
    """A step of a log as the diagnosis holds it: (N, K) rewards in groups of one size."""
    ids = torch.arange(len(rewards)) // group_size
    return Step(number, rewards, ids, None, places=100 * number + np.arange(len(rewards)))


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_json_lines(path: Path, rows: Iterable[Any]) -> Path:
    """Write a JSONL file, and its folder; the path again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Made:
    """A constructed log: N rollouts, K rewards."""

    rewards: dict[str, np.ndarray]
    steps: np.ndarray
    groups: np.ndarray

    @property
    def columns(self) -> Columns:
        """As a plain table."""
        shown = {
            name: [None if np.isnan(value) else float(value) for value in column]
            for name, column in self.rewards.items()
        }
        return {"step": self.steps.tolist(), "group": self.groups.tolist(), **shown}


@pytest.fixture(scope="session")
def make_log() -> Callable[..., Made]:
    """A log whose rewards are given by a function of (random generator, number of groups, group size)."""

    def make(
        rewards: Callable[[np.random.Generator, int, int], dict[str, np.ndarray]],
        *,
        steps: int = 2,
        groups: int = 160,
        group_size: int = 8,
        seed: int = 0,
    ) -> Made:
        random = np.random.default_rng(seed)
        total = steps * groups
        made = {
            name: np.asarray(values, dtype=np.float32).reshape(-1)
            for name, values in rewards(random, total, group_size).items()
        }
        return Made(
            rewards=made,
            steps=np.repeat(np.arange(1, steps + 1), groups * group_size),
            groups=np.tile(np.repeat(np.arange(groups), group_size), steps),
        )

    return make


@pytest.fixture
def noisy_graders() -> Callable[[np.random.Generator, int, int], dict[str, np.ndarray]]:
    """Two graders of the same quality, each with errors of its own: in-group correlation about 0.6."""

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        quality = random.normal(size=(groups, size))
        return {name: quality + 0.8 * random.normal(size=(groups, size)) for name in ("grader_a", "grader_b")}

    return rewards


@pytest.fixture
def trade_off() -> Callable[[np.random.Generator, int, int], dict[str, np.ndarray]]:
    """Longer is better and dearer: in-group correlation about -0.6."""

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        effort = random.normal(size=(groups, size))
        return {
            "quality": effort + 0.8 * random.normal(size=(groups, size)),
            "brevity": -effort + 0.8 * random.normal(size=(groups, size)),
        }

    return rewards


@pytest.fixture
def unrelated() -> Callable[[np.random.Generator, int, int], dict[str, np.ndarray]]:
    """Three rewards that know nothing of each other."""

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        return {name: random.normal(size=(groups, size)) for name in ("a", "b", "c")}

    return rewards


def write_columns(columns: Columns, path: Path) -> Path:
    """Write columns as the format that the name ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if path.name.endswith(".parquet"):
        pq.write_table(pa.table(columns), path)
    elif path.name.endswith(".jsonl"):
        write_json_lines(path, rows)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return path


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[..., Path]:
    """Write columns to a file of the given name."""

    def write(columns: Columns, name: str = "log.parquet") -> Path:
        return write_columns(columns, tmp_path / name)

    return write


@pytest.fixture
def small_table() -> Columns:
    """Two groups of two, two rewards, one missing value."""
    return {
        "step": [1, 1, 1, 1],
        "group": ["a", "a", "b", "b"],
        "correct": [1.0, 0.0, 1.0, 1.0],
        "brief": [0.25, 0.75, None, 0.5],
        "prompt": ["What is 1 + 1?"] * 2 + ["What is 2 + 2?"] * 2,
        "completion": ["2", "Two, I think.", "4", "Four."],
    }


@contextmanager
def limited_memory(megabytes: int) -> Iterator[None]:
    """Let this process take at most so much more memory; what takes more gets a MemoryError."""
    resource = pytest.importorskip("resource")
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        pytest.skip("this system does not say how much memory a process has")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def write_bomb(path: Path, start: bytes, megabytes: int = 1024) -> Path:
    """A gzip file of a few KB that holds `start` and then a line without end."""
    piece = gzip.compress(b"1" * 2**26)
    path.write_bytes(gzip.compress(start) + piece * (megabytes // 64))
    return path
