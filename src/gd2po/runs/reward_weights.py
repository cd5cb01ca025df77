"""The weights of a run's rewards as a configuration gives them: numbers, schedules, and functions of the step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from gd2po.core.schedules import (
    SCHEDULES,
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    Schedule,
    StepSchedule,
)
from gd2po.errors import ConfigError, InvalidInputError, RewardFunctionError, did_you_mean
from gd2po.rewards.registry import load_function
from gd2po.runs.spellings import is_flow, read_flow, weights_as_written

Weight = float | Schedule | Callable[[int], float]

_SCHEDULE = "{schedule: linear, start: 0, end: 1, steps: 100}"

_KINDS = (ConstantSchedule, LinearSchedule, CosineSchedule, StepSchedule)


@dataclass(frozen=True)
class RewardWeights:
    """One weight per reward: a number, or a function of the step.

    Example:
        >>> weights = RewardWeights.of([1.0, {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 5}])
        >>> weights.at(1), weights.at(3)
        ([1.0, 0.0], [1.0, 0.5])
        >>> RewardWeights.of("brief=0.5").in_order(["correct", "brief"]).at(1)
        [1.0, 0.5]
    """

    entries: tuple[Weight, ...]
    name: str = "reward_weights"
    """What the configuration calls them, for messages."""
    reward_names: tuple[str, ...] | None = None
    """Which rewards they are of; None for all of them in order."""

    @staticmethod
    def of(values: Any, name: str = "reward_weights") -> RewardWeights:
        """The weights that a configuration gives.

        Args:
            values: for each reward a number, a schedule of `gd2po.core.schedules`, a mapping such as `{schedule:
                linear, start: 0.0, end: 1.0, steps: 100}`, a function from step to weight or its import path; as a
                list in order, a mapping by name of the reward, or either as text (docs/trl.md).
            name: what the configuration calls them.

        Raises:
            ConfigError: something else, or an unknown schedule, key or function (a ValueError).
            InvalidInputError: a value that a schedule does not take (a ValueError).
        """
        if hasattr(values, "tolist"):
            values = values.tolist()
        found = weights_as_written(values, name)
        if isinstance(found, dict) and _is_schedule(found):
            found = [found]
        if isinstance(found, dict):
            entries = tuple(_entry(value, f"{name}.{reward}") for reward, value in found.items())
            return RewardWeights(entries, name, tuple(map(str, found)))
        return RewardWeights(tuple(_entry(value, f"{name}[{place}]") for place, value in enumerate(found)), name)

    def in_order(self, reward_names: Sequence[str]) -> RewardWeights:
        """One weight for each of these rewards, in their order; 1 for those that weights by name leave out.

        Raises:
            ConfigError: another number of weights, or one of an unknown reward (a ValueError).
        """
        if self.reward_names is None:
            if len(self.entries) != len(reward_names):
                by_name = f" Or name some, like {reward_names[0]}=0.5: the others are 1." if reward_names else ""
                raise ConfigError(
                    f"`{self.name}` needs one weight per reward: expected {len(reward_names)} "
                    f"({', '.join(reward_names)}), got {len(self.entries)}.{by_name}"
                )
            return self
        for reward in self.reward_names:
            if reward not in reward_names:
                raise ConfigError(
                    f"`{self.name}` names a reward {reward!r} that does not exist. {did_you_mean(reward, reward_names)}"
                )
        known = dict(zip(self.reward_names, self.entries, strict=True))
        return RewardWeights(tuple(known.get(reward, 1.0) for reward in reward_names), self.name)

    def at(self, step: int) -> list[float]:
        """The weight of each reward at a step, from 1.

        Raises:
            InvalidInputError: a schedule has ended, or a function gives no finite number.
            RewardFunctionError: a function raised.
        """
        return [_value(entry, step, self._where(place)) for place, entry in enumerate(self.entries)]

    @property
    def move(self) -> bool:
        """Whether some weight depends on the step."""
        return any(callable(entry) for entry in self.entries)

    @property
    def telling_steps(self) -> list[int]:
        """Steps that see every extreme of the schedules, so that a check at these is a check of all."""
        return sorted({1, *(step for entry in self._schedules for step in entry.turning_steps)})

    def checked_at(self, step: int) -> list[float]:
        """As `at`, for a check before the run: 1 in the place of functions, and of what has ended by then its end."""
        return [
            _value(entry, min(step, entry.last_step or step), self._where(place))
            if isinstance(entry, _KINDS)
            else (1.0 if callable(entry) else entry)
            for place, entry in enumerate(self.entries)
        ]

    def require_steps(self, steps: int) -> None:
        """Raise if a schedule ends before a run of so many steps.

        Raises:
            ConfigError: one does (a ValueError).
        """
        for place, entry in enumerate(self.entries):
            last = getattr(entry, "last_step", None) if callable(entry) else None
            if last is not None and last < steps:
                raise ConfigError(
                    f"`{self._where(place)}` ends at step {last}, and the run has {steps} steps. Set `hold: true` in "
                    "the schedule to keep its last weight from there on, or raise its `steps`."
                )

    def for_rewards(self, count: int) -> RewardWeights:
        """The same weights, with 1 for rewards beyond those that were named, which a host has added itself."""
        return dataclasses.replace(self, entries=(*self.entries, *[1.0] * (count - len(self.entries))))

    @property
    def given(self) -> list[Weight] | dict[str, Weight]:
        """The weights in order, or by name of the reward."""
        if self.reward_names is None:
            return list(self.entries)
        return dict(zip(self.reward_names, self.entries, strict=True))

    def plain(self) -> list[Any] | dict[str, Any]:
        """The same as JSON and YAML hold them: numbers, mappings, and the import paths of functions.

        Example:
            >>> from gd2po.core.schedules import StepSchedule
            >>> RewardWeights.of([0.5, StepSchedule({1: 0.0, 10: 1.0})]).plain()
            [0.5, {'schedule': 'step', 'values': {'1': 0.0, '10': 1.0}}]
        """
        given = self.given
        if isinstance(given, dict):
            return {reward: _plain(entry) for reward, entry in given.items()}
        return [_plain(entry) for entry in given]

    def _where(self, place: int) -> str:
        """What one of the weights is called, for messages."""
        return f"{self.name}[{place}]" if self.reward_names is None else f"{self.name}.{self.reward_names[place]}"

    @property
    def _schedules(self) -> list[Schedule]:
        return [entry for entry in self.entries if isinstance(entry, _KINDS)]


def _is_schedule(values: Mapping[str, Any]) -> bool:
    """Whether a mapping is the schedule of one weight, and not weights by name."""
    word = values.get("schedule")
    return word in SCHEDULES if isinstance(word, str) else False


def _entry(value: Any, where: str) -> Weight:
    """A weight out of what a configuration holds."""
    if isinstance(value, str):
        return _entry_of_text(value, where)
    if isinstance(value, Mapping):
        return _schedule(value, where)
    if callable(value):
        weight: Weight = value
        return weight
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(
            f"`{where}` must be a finite number, a schedule such as {_SCHEDULE} or a function of the step: got "
            f"{value!r}."
        )
    return float(value)


def _entry_of_text(text: str, where: str) -> Weight:
    try:
        return _entry(float(text), where)
    except ConfigError:
        raise
    except ValueError:
        pass  # no number
    if is_flow(text):
        return _entry(read_flow(text, where, f"a schedule such as {_SCHEDULE}"), where)
    if "." not in text:
        raise ConfigError(
            f"`{where}` must be a number, a schedule, or the import path of a function, my_module.my_function: got "
            f"{text!r}."
        )
    return load_function("weight function", text, {})


def _schedule(values: Mapping[str, Any], where: str) -> Schedule:
    word: Any = values.get("schedule")
    if word not in SCHEDULES:
        hint = f" {did_you_mean(word, SCHEDULES)}" if isinstance(word, str) else ""
        raise ConfigError(f"`{where}.schedule` must be one of {', '.join(SCHEDULES)}: got {word!r}.{hint}")
    kind = SCHEDULES[word]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {str(key): value for key, value in values.items() if key != "schedule"}
    for key in given:
        if key not in fields:
            raise ConfigError(f"`{where}` has no key {key!r} in a {word} schedule. {did_you_mean(key, fields)}")
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and key not in given:
            raise ConfigError(f"`{where}` needs `{key}` in a {word} schedule. It takes: {', '.join(fields)}.")
    try:
        made: Schedule = kind(**given)
    except InvalidInputError as error:
        raise InvalidInputError(f"`{where}`: {error}") from error
    return made


def _value(entry: Weight, step: int, where: str) -> float:
    if not callable(entry):
        return entry
    if isinstance(entry, _KINDS):
        try:
            return entry(step)
        except InvalidInputError as error:
            raise InvalidInputError(f"`{where}`: {error}") from error
    try:
        value = entry(step)
    except Exception as error:
        raise RewardFunctionError(
            f"`{where}`: `{_path(entry)}` raised {type(error).__name__}: {error} at step {step}."
        ) from error
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InvalidInputError(
            f"`{where}`: `{_path(entry)}` must give a finite number for every step: got {value!r} at step {step}."
        )
    return float(value)


def _plain(entry: Weight) -> Any:
    if not callable(entry):
        return entry
    if isinstance(entry, StepSchedule):
        return {"schedule": entry.word, "values": {str(step): value for step, value in entry.values.items()}}
    if isinstance(entry, _KINDS):
        return {"schedule": entry.word, **dataclasses.asdict(entry)}
    return _path(entry)


def _path(function: Any) -> str:
    """The import path of a function, as far as it has one."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"
