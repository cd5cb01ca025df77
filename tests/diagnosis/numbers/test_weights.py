"""Weights by step, and chunks cut where they change."""

from __future__ import annotations

import numpy as np

from gd2po.diagnosis.numbers.weights import StepWeights
from gd2po.logs.grouping import Chunk, Rows


def chunk(steps: list[int], group_starts: list[int]) -> Chunk:
    numbers = np.array(steps)
    rows = Rows(numbers, numbers, np.zeros((len(steps), 2), np.float32), np.zeros(len(steps)), np.arange(len(steps)))
    return Chunk(rows, np.array(group_starts), np.flatnonzero(np.diff(numbers, prepend=-1)))


def test_a_chunk_is_cut_where_the_weights_change_and_nowhere_else() -> None:
    weights = StepWeights((1.0, 1.0), {3: (1.0, 0.5), 5: (1.0, 0.5)})
    whole = chunk([1, 1, 1, 1, 2, 2, 3, 3, 5, 5, 5, 5, 7, 7], [0, 2, 4, 6, 8, 10, 12])
    pieces = list(weights.pieces(whole))
    assert [tuple(of_piece) for _, of_piece in pieces] == [(1.0, 1.0), (1.0, 0.5), (1.0, 1.0)]
    assert [piece.rows.places.tolist() for piece, _ in pieces] == [list(range(6)), list(range(6, 12)), [12, 13]]
    assert [piece.group_starts.tolist() for piece, _ in pieces] == [[0, 2, 4], [0, 2, 4], [0]]
    assert [piece.step_starts.tolist() for piece, _ in pieces] == [[0, 4], [0, 2], [0]]


def test_without_changes_a_chunk_stays_whole() -> None:
    whole = chunk([1, 1, 2, 2], [0, 2])
    ((piece, weights),) = StepWeights((1.0, 2.0)).pieces(whole)
    assert piece is whole
    assert weights == (1.0, 2.0)


def test_steps_without_weights_of_their_own_are_counted() -> None:
    weights = StepWeights((1.0, 1.0), {2: (3.0, 4.0)})
    assert weights.over(np.array([1.0, 2.0])).tolist() == [[1.0, 1.0], [3.0, 4.0]]
    assert weights.without(np.array([1.0, 2.0])) == 1
    assert StepWeights((1.0, 1.0)).without(np.array([1.0, 2.0])) == 0
