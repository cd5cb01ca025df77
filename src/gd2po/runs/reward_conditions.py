"""Rewards that count only where another one is high enough, by name, as a configuration gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from torch import Tensor

from gd2po.core.transforms import Condition, conditioned_rewards
from gd2po.errors import ConfigError, did_you_mean
from gd2po.runs.spellings import read_flow

KEYS = ("reward", "on", "threshold", "otherwise", "subset")
_EXAMPLE = "[{reward: length, on: correctness, threshold: 1.0}]"


@dataclass(frozen=True)
class NamedCondition:
    """A `Condition` by the names of the rewards, and what becomes of the reward where it fails."""

    reward: str
    """The reward that is held back."""
    on: str
    """The reward that it depends on."""
    threshold: float
    """In the unit of `on`, which must be at least as high."""
    otherwise: float = 0.0
    """The score of the reward where the condition fails."""
    subset: bool = False
    """Where the condition fails the reward does not apply: it is standardised among the others."""

    @property
    def words(self) -> str:
        """In words, for people."""
        where = f"{self.reward} counts where {self.on} is at least {self.threshold:g}"
        return (
            f"{where}, and does not apply elsewhere" if self.subset else f"{where}, and is {self.otherwise:g} elsewhere"
        )


@dataclass(frozen=True)
class RewardConditions:
    """The conditions of a run.

    Example:
        >>> import torch
        >>> conditions = RewardConditions.of([{"reward": "brief", "on": "correct", "threshold": 1.0}])
        >>> conditions.apply(torch.tensor([[1.0, 0.9], [0.0, 0.8]]), ["correct", "brief"])
        tensor([[1.0000, 0.9000],
                [0.0000, 0.0000]])
    """

    conditions: tuple[NamedCondition, ...]
    name: str = "reward_conditions"
    """What the configuration calls them, for messages."""

    @staticmethod
    def of(values: Any, name: str = "reward_conditions") -> RewardConditions:
        """The conditions that a configuration gives.

        Args:
            values: a list of mappings with `reward`, `on` and `threshold`, and if wanted `otherwise` or `subset`; or
                such a list as text.
            name: what the configuration calls them.

        Raises:
            ConfigError: something else, a condition of a reward on itself, rewards that depend on each other in a
                circle, or two fates for one reward (a ValueError).
        """
        if isinstance(values, str):
            values = read_flow(values, name, f"a list like {_EXAMPLE}")
        if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
            raise ConfigError(f"`{name}` needs a list like {_EXAMPLE}: got {values!r}.")
        conditions = tuple(_condition(value, f"{name}[{place}]") for place, value in enumerate(values))
        _check_fates(conditions, name)
        _check_circles(conditions, name)
        return RewardConditions(conditions, name)

    def check_names(self, reward_names: Sequence[str]) -> None:
        """Raise unless the conditions are about rewards of that name.

        Raises:
            ConfigError: an unknown reward (a ValueError); names the nearest.
        """
        for place, condition in enumerate(self.conditions):
            for key, reward in (("reward", condition.reward), ("on", condition.on)):
                if reward not in reward_names:
                    raise ConfigError(
                        f"`{self.name}[{place}].{key}` names no reward of the run: got {reward!r}. "
                        f"{did_you_mean(reward, reward_names)}"
                    )

    def apply(self, rewards: Tensor, reward_names: Sequence[str]) -> Tensor:
        """The rewards (N, K) as the method sees them. Every condition looks at the rewards as given."""
        result = rewards
        names = list(reward_names)
        for reward in dict.fromkeys(condition.reward for condition in self.conditions):
            of_reward = [condition for condition in self.conditions if condition.reward == reward]
            column = names.index(reward)
            by_index = [Condition(column, names.index(one.on), one.threshold) for one in of_reward]
            otherwise = math.nan if of_reward[0].subset else of_reward[0].otherwise
            if result is rewards:
                result = rewards.clone()
            result[:, column] = conditioned_rewards(rewards, by_index, otherwise=otherwise)[:, column]
        return result

    def as_subsets(self) -> RewardConditions:
        """The same conditions, with rewards that do not apply where they fail."""
        return replace(self, conditions=tuple(replace(one, otherwise=0.0, subset=True) for one in self.conditions))

    def warnings(self, rewards: Tensor, reward_names: Sequence[str]) -> list[str]:
        """Sentences about conditions that praise what they should hold back; rewards (N, K) as given."""
        found = []
        for condition in self.conditions:
            scores = rewards[:, list(reward_names).index(condition.reward)]
            if not condition.subset and bool((scores < condition.otherwise).any()):
                found.append(
                    f"{condition.reward} becomes {condition.otherwise:g} where {condition.on} is below "
                    f"{condition.threshold:g}, and it gives lower scores than that itself: failing the condition is "
                    "praise. Set `otherwise` to the least score of the reward, or `subset: true`."
                )
        return list(dict.fromkeys(found))

    def plain(self) -> list[dict[str, Any]]:
        """The conditions as JSON and YAML hold them.

        Example:
            >>> RewardConditions.of([{"reward": "a", "on": "b", "threshold": 1, "subset": True}]).plain()
            [{'reward': 'a', 'on': 'b', 'threshold': 1.0, 'subset': True}]
        """
        return [
            {"reward": one.reward, "on": one.on, "threshold": one.threshold}
            | ({"subset": True} if one.subset else {"otherwise": one.otherwise})
            for one in self.conditions
        ]


def _condition(value: Any, where: str) -> NamedCondition:
    if not isinstance(value, Mapping):
        raise ConfigError(f"`{where}` must be a mapping like {_EXAMPLE[1:-1]}: got {value!r}.")
    value = {"on" if key is True else key: entry for key, entry in value.items()}  # YAML 1.1 takes `on` for true
    for key in value:
        if key not in KEYS:
            raise ConfigError(f"`{where}` has no key {key!r}. {did_you_mean(str(key), KEYS)}")
    for key in ("reward", "on"):
        if not isinstance(value.get(key), str):
            raise ConfigError(f"`{where}.{key}` must be the name of a reward: got {value.get(key)!r}.")
    if value["reward"] == value["on"]:
        raise ConfigError(f"`{where}` must hold a reward back by another one: got {value['reward']!r} for both.")
    subset = value.get("subset", False)
    if not isinstance(subset, bool):
        raise ConfigError(f"`{where}.subset` must be true or false: got {subset!r}.")
    if subset and "otherwise" in value:
        raise ConfigError(f"`{where}`: `otherwise` has no effect with `subset: true`, leave one of them out.")
    numbers: dict[str, Any] = {"threshold": value.get("threshold"), "otherwise": value.get("otherwise", 0.0)}
    for key, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
            hint = " Set `subset: true` for a reward that does not apply there." if key == "otherwise" else ""
            raise ConfigError(f"`{where}.{key}` must be a finite number: got {number!r}.{hint}")
    return NamedCondition(
        value["reward"], value["on"], float(numbers["threshold"]), float(numbers["otherwise"]), subset
    )


def _check_fates(conditions: Sequence[NamedCondition], name: str) -> None:
    """Raise where two conditions want one reward to become different things."""
    first: dict[str, NamedCondition] = {}
    for condition in conditions:
        other = first.setdefault(condition.reward, condition)
        if (other.otherwise, other.subset) != (condition.otherwise, condition.subset):
            raise ConfigError(
                f"`{name}` must have one `otherwise` (or `subset`) for all conditions on {condition.reward!r}: got "
                f"'{other.words}' and '{condition.words}'."
            )


def _check_circles(conditions: Sequence[NamedCondition], name: str) -> None:
    """Raise where rewards hold each other back in a circle."""
    depends: dict[str, set[str]] = {}
    for condition in conditions:
        depends.setdefault(condition.reward, set()).add(condition.on)

    def walk(path: list[str]) -> None:
        for reward in sorted(depends.get(path[-1], ())):
            if reward in path:
                circle = " on ".join([*path[path.index(reward) :], reward])
                raise ConfigError(
                    f"`{name}` must not lead back to where it began: {circle}. Leave one of these conditions out."
                )
            walk([*path, reward])

    for reward in depends:
        walk([reward])
