"""Weights that move over training: pure functions of the step, so that a resumed run has the weights it would have had.

Steps count from 1, as in the rollout log: a weight at step 1 is that of the first update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar, Final

from gd2po.errors import InvalidInputError


@dataclass(frozen=True)
class ConstantSchedule:
    """A weight that stays: the same as the number.

    Args:
        value: the weight at every step.

    Example:
        >>> ConstantSchedule(0.5)(1), ConstantSchedule(0.5)(1000)
        (0.5, 0.5)
    """

    word: ClassVar[str] = "constant"
    value: float

    def __post_init__(self) -> None:
        _check_number(self.value, "value")

    def __call__(self, step: int) -> float:
        """The weight at a step, from 1."""
        return float(self.value)

    @property
    def last_step(self) -> int | None:
        """None: it never ends."""
        return None

    @property
    def turning_steps(self) -> tuple[int, ...]:
        """Steps that see every extreme of the weight."""
        return (1,)


@dataclass(frozen=True)
class LinearSchedule:
    """A weight that moves from `start` at step 1 to `end` at step `steps`, by the same amount every step.

    Args:
        start: the weight at step 1.
        end: the weight at step `steps`.
        steps: at least 2. A longer run has no weight after that, which is an error, unless `hold` is set.
        hold: keep `end` from then on.

    Example:
        >>> ramp = LinearSchedule(start=0.0, end=1.0, steps=5)
        >>> [ramp(step) for step in range(1, 6)]
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    word: ClassVar[str] = "linear"
    start: float
    end: float
    steps: int
    hold: bool = False

    def __post_init__(self) -> None:
        _check_number(self.start, "start")
        _check_number(self.end, "end")
        _check_count(self.steps, "steps", least=2)
        if not isinstance(self.hold, bool):
            raise InvalidInputError(f"`hold` must be true or false: got {self.hold!r}.")

    def __call__(self, step: int) -> float:
        """The weight at a step, from 1.

        Raises:
            InvalidInputError: the schedule has ended, and does not hold.
        """
        _check_count(step, "step", least=1)
        if step >= self.steps:
            if step > self.steps and not self.hold:
                raise InvalidInputError(
                    f"The {self.word} schedule ends at step {self.steps}, and this is step {step}. Set `hold` to keep "
                    f"{self.end:g} from there on, or raise `steps`."
                )
            return float(self.end)
        done = self._share((step - 1) / (self.steps - 1))
        return float(self.start * (1 - done) + self.end * done)

    def _share(self, of_steps: float) -> float:
        """The share of the way from start to end after a share of the steps."""
        return of_steps

    @property
    def last_step(self) -> int | None:
        """The last step that has a weight; None if all have."""
        return None if self.hold else self.steps

    @property
    def turning_steps(self) -> tuple[int, ...]:
        """Steps that see every extreme of the weight."""
        return (1, self.steps)


@dataclass(frozen=True)
class CosineSchedule(LinearSchedule):
    """A weight that moves from `start` at step 1 to `end` at step `steps` along half a cosine: slow at both ends.

    Args:
        start: the weight at step 1.
        end: the weight at step `steps`.
        steps: at least 2. A longer run has no weight after that, which is an error, unless `hold` is set.
        hold: keep `end` from then on.

    Example:
        >>> [round(CosineSchedule(1.0, 0.0, steps=5)(step), 3) for step in range(1, 6)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    word: ClassVar[str] = "cosine"

    def _share(self, of_steps: float) -> float:
        return (1 - math.cos(math.pi * of_steps)) / 2


@dataclass(frozen=True)
class StepSchedule:
    """A weight that jumps: each value holds from its step on, the last one to the end of the run.

    Args:
        values: weight by the step that it begins at; step 1 has to be one of them.

    Example:
        >>> jump = StepSchedule({1: 0.0, 100: 0.5, 200: 1.0})
        >>> jump(1), jump(99), jump(100), jump(1000)
        (0.0, 0.0, 0.5, 1.0)
    """

    word: ClassVar[str] = "step"
    values: Mapping[int, float]

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping) or not self.values:
            raise InvalidInputError(
                f"`values` must map steps to weights, e.g. {{1: 0.0, 100: 1.0}}: got {self.values!r}."
            )
        read: dict[int, float] = {}
        for step, value in self.values.items():
            step = int(step) if isinstance(step, str) and step.strip().isdecimal() else step  # keys of JSON are text
            _check_count(step, "values: step", least=1)
            _check_number(value, f"values: weight from step {step} on")
            read[step] = float(value)
        if 1 not in read:
            raise InvalidInputError(f"`values` must say which weight step 1 has: got steps {sorted(read)}.")
        object.__setattr__(self, "values", MappingProxyType(dict(sorted(read.items()))))

    def __call__(self, step: int) -> float:
        """The weight at a step, from 1."""
        _check_count(step, "step", least=1)
        return self.values[max(begin for begin in self.values if begin <= step)]

    def __hash__(self) -> int:
        return hash(tuple(self.values.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return StepSchedule, (dict(self.values),)  # a read-only mapping does not pickle

    @property
    def last_step(self) -> int | None:
        """None: it never ends."""
        return None

    @property
    def turning_steps(self) -> tuple[int, ...]:
        """Steps that see every extreme of the weight."""
        return tuple(self.values)


Schedule = ConstantSchedule | LinearSchedule | CosineSchedule | StepSchedule

SCHEDULES: Final[Mapping[str, type[Any]]] = MappingProxyType({
    schedule.word: schedule for schedule in (ConstantSchedule, LinearSchedule, CosineSchedule, StepSchedule)
})  # fmt: skip
"""The schedules by the word that stands for them in YAML."""


def _check_number(value: object, name: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidInputError(f"`{name}` must be a finite number: got {value!r}.")


def _check_count(value: object, name: str, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"`{name}` must be a whole number of at least {least}: got {value!r}.")
