"""Which steps of a log settings are evaluated on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gd2po.diagnosis.numbers import sample
from gd2po.diagnosis.numbers.sample import Step, StepSample
from gd2po.logs.grouping import Chunk, Rows

GROUP = 2


def chunks_of(steps: np.ndarray, size: int, *, known_lengths: bool = True) -> Iterator[Chunk]:
    """Chunks of `size` rollouts, in groups of two; the reward of a rollout is its row in the log."""
    count = len(steps)
    for begin in range(0, count, size):
        rows = slice(begin, begin + size)
        part = steps[rows]
        rewards = np.arange(count, dtype=np.float32)[rows, None]
        lengths = np.full(count, 5.0 if known_lengths else np.nan)[rows]
        places = np.arange(count)[rows]
        starts = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
        yield Chunk(Rows(part, places, rewards, lengths, places), np.arange(0, len(part), GROUP), starts)


def chosen(steps: np.ndarray, size: int = 8) -> list[Step]:
    made = StepSample()
    for chunk in chunks_of(steps, size):
        made.add(chunk)
    return made.steps()


def numbers(steps: list[Step]) -> list[int]:
    return [step.number for step in steps]


def log(count: int, size: int = 4) -> np.ndarray:
    return np.repeat(np.arange(count), size)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MOST_STEPS", 8)
    monkeypatch.setattr(sample, "MOST_ROLLOUTS", 40)


def test_all_steps_are_taken_if_they_are_few() -> None:
    steps = chosen(log(8))
    assert numbers(steps) == list(range(8))
    assert steps[3].rewards[:, 0].tolist() == [12, 13, 14, 15]
    assert steps[3].group_ids.tolist() == [0, 0, 1, 1]
    assert steps[3].token_counts.tolist() == [5.0] * 4


@pytest.mark.parametrize(("count", "stride"), [(9, 2), (16, 2), (17, 4), (33, 8), (1000, 128)])
def test_steps_that_are_too_many_are_taken_evenly_spaced(count: int, stride: int) -> None:
    assert numbers(chosen(log(count))) == list(range(0, count, stride))


def test_large_steps_are_fewer() -> None:
    assert numbers(chosen(log(6, size=12), size=16)) == [0, 2, 4]


@pytest.mark.parametrize("size", [2, 6, 8, 100])
def test_a_step_that_is_read_in_pieces_is_one(size: int) -> None:
    steps = chosen(log(5, size=8), size=size)
    assert numbers(steps) == list(range(5))
    assert [step.rewards[:, 0].tolist() for step in steps] == [list(range(8 * k, 8 * k + 8)) for k in range(5)]
    assert all(step.group_ids.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] for step in steps)


def test_pieces_of_a_step_that_is_left_out_stay_out() -> None:
    steps = chosen(log(20, size=4), size=2)
    assert numbers(steps) == [0, 4, 8, 12, 16]
    assert all(len(step.rewards) == 4 for step in steps)


@pytest.mark.parametrize("size", [6, 10, 64, 1000])
def test_a_step_larger_than_all_that_is_taken_is_cut_between_groups(size: int) -> None:
    (step,) = chosen(log(1, size=1000), size=size)
    assert step.rewards[:, 0].tolist() == list(range(40))
    assert step.group_ids.tolist() == np.repeat(np.arange(20), 2).tolist()


def test_a_group_larger_than_all_that_is_taken_stays_whole() -> None:
    rows = Rows(*(np.zeros(100, dtype=np.int64),) * 2, np.zeros((100, 1), np.float32), np.zeros(100), np.arange(100))
    made = StepSample()
    made.add(Chunk(rows, np.array([0]), np.array([0])))
    assert len(made.steps()[0].rewards) == 100


def test_lengths_are_known_only_if_all_are() -> None:
    made = StepSample()
    for chunk in chunks_of(log(2), 8, known_lengths=False):
        made.add(chunk)
    assert [step.token_counts for step in made.steps()] == [None, None]
