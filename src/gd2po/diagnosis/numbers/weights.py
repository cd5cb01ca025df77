"""The weights of the rewards at every step of a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gd2po.diagnosis.numbers.batch import Floats
from gd2po.logs.grouping import Chunk


@dataclass(frozen=True)
class StepWeights:
    """The weights of K rewards: the same at every step, or by step."""

    usual: tuple[float, ...]
    """(K,) at every step that has none of its own."""
    by_step: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    def at(self, step: int) -> tuple[float, ...]:
        """(K,) at a step."""
        return self.by_step.get(step, self.usual)

    def over(self, steps: Floats) -> Floats:
        """(M, K) at each of M steps."""
        return np.array([self.at(int(step)) for step in steps.reshape(-1)], dtype=np.float64)

    def without(self, steps: Floats) -> int:
        """How many of the steps have no weights of their own, though others do."""
        return sum(int(step) not in self.by_step for step in steps.reshape(-1)) if self.by_step else 0

    def pieces(self, chunk: Chunk) -> Iterator[tuple[Chunk, Sequence[float]]]:
        """The chunk, cut where the weights change, each piece with its weights."""
        rows = chunk.rows
        numbers = rows.steps[chunk.step_starts].tolist()
        first = 0
        for place in range(1, len(numbers) + 1):
            if place < len(numbers) and self.at(numbers[place]) == self.at(numbers[first]):
                continue
            begin = int(chunk.step_starts[first])
            end = int(chunk.step_starts[place]) if place < len(numbers) else len(rows)
            if (begin, end) == (0, len(rows)):
                yield chunk, self.at(numbers[first])
                return
            groups = chunk.group_starts[(chunk.group_starts >= begin) & (chunk.group_starts < end)] - begin
            piece = Chunk(rows.take(slice(begin, end)), groups, chunk.step_starts[first:place] - begin)
            yield piece, self.at(numbers[first])
            first = place
