"""What hosts make of what an engine gives them: settings from a mapping, and the reward matrix from dictionaries."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.core.families import family_labels
from gd2po.core.setting import default_method, method_named
from gd2po.errors import ConfigError, GD2POError, InvalidInputError, RewardFunctionError, did_you_mean
from gd2po.integrations.session import Session, check_setting
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights

OWN_KEYS = ("reward_keys", "reward_weights", "reward_conditions", "reward_families", "method", "log_folder")
"""Keys of a section beside the options of its method."""


@dataclass(frozen=True)
class HostSettings:
    """Which components of a reward are the rewards, the method, and where rollouts are logged."""

    reward_keys: tuple[str, ...]
    setting: Setting
    reward_weights: RewardWeights | None = None
    log_folder: str | None = None
    reward_conditions: RewardConditions | None = None
    reward_families: tuple[str, ...] | None = None
    """One per component; None where none are declared."""

    @staticmethod
    def from_mapping(section: Any, where: str) -> HostSettings:
        """Settings of a configuration section, checked in full.

        Args:
            section: a mapping with `reward_keys`, and if wanted `reward_weights`, `reward_conditions`,
                `reward_families` (a mapping from components to families), `method` (`default_method` without one),
                options of the method, and `log_folder`, the run folder that rollouts are logged into.
            where: what the section is called in the configuration, for messages.

        Raises:
            ConfigError: no section, an unknown key, or a value that the method does not take.

        Example:
            >>> HostSettings.from_mapping({"reward_keys": ["a", "b"], "filterin": "hard"}, "algorithm.gd2po")
            Traceback (most recent call last):
            ...
            gd2po.errors.ConfigError: `algorithm.gd2po` has no key 'filterin'. Did you mean 'filtering'?
        """
        if not isinstance(section, Mapping) or not section.get("reward_keys"):
            came = "nothing" if section is None else repr(section)
            raise ConfigError(
                f"`{where}.reward_keys` must list the components of the reward, e.g. [correctness, format]: `{where}` "
                f"is {came}."
            )
        values = _plain(section)
        default = default_method(values.keys() - set(OWN_KEYS))
        method = method_named(values.get("method", default), f"`{where}.method`")
        known = (*OWN_KEYS, *method.options)
        for key in values:
            if key not in known:
                raise ConfigError(f"`{where}` has no key {key!r}. {did_you_mean(key, known)}")
        keys = _reward_keys(values.pop("reward_keys"), where)
        given, log_folder = values.pop("reward_weights", None), values.pop("log_folder", None)
        conditions = _conditions(values.pop("reward_conditions", None), keys, where)
        families = family_labels(values.pop("reward_families", None), keys, f"{where}.reward_families")
        if log_folder is not None and not isinstance(log_folder, str):
            raise ConfigError(f"`{where}.log_folder` must be a folder: got {log_folder!r}.")
        try:
            weights = None if given is None else RewardWeights.of(given, f"{where}.reward_weights").in_order(keys)
            setting = Setting.of(values, where)
            check_setting(setting, weights, len(keys))
        except (GD2POError, TypeError) as error:
            prefix = "" if str(error).startswith(f"`{where}") else f"`{where}`: "
            raise ConfigError(f"{prefix}{error}") from error
        labels = None if families is None else tuple(families)
        return HostSettings(keys, setting, weights, log_folder, conditions, labels)

    def session(self) -> Session:
        """A session of a run with these settings."""
        return Session(
            self.setting,
            self.reward_keys,
            self.reward_weights,
            self.log_folder,
            self.reward_conditions,
            self.reward_families,
        )

    @property
    def weights_move(self) -> bool:
        """Whether the weights depend on the step, which the host then has to say."""
        return self.reward_weights is not None and self.reward_weights.move

    def require_steps(self, steps: int | None) -> None:
        """Raise if a schedule of the weights ends before a run of so many steps; None where nobody knows how many.

        Raises:
            ConfigError: one does.
        """
        if steps is not None and self.reward_weights is not None:
            self.reward_weights.require_steps(steps)


def refuse(values: Mapping[str, Any], rules: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
    """Raise where a setting of the engine has another value than the ones that leave gd2po its place.

    Args:
        values: the engine's settings by name.
        rules: of each setting, the values that are right and why others are not.

    Raises:
        ConfigError: one has another value.

    Example:
        >>> refuse({"scale_rewards": "batch"}, {"scale_rewards": ((None, "group"), "has no effect here: leave it out")})
        Traceback (most recent call last):
        ...
        gd2po.errors.ConfigError: `scale_rewards` has no effect here: leave it out. It is 'batch'.
    """
    for name, (right, why) in rules.items():
        value = values.get(name)
        if value not in right:
            raise ConfigError(f"`{name}` {why}. It is {value!r}.")


def _conditions(values: Any, reward_keys: Sequence[str], where: str) -> RewardConditions | None:
    if not values:
        return None
    conditions = RewardConditions.of(values, f"{where}.reward_conditions")
    conditions.check_names(reward_keys)
    return conditions


def _reward_keys(keys: Any, where: str) -> tuple[str, ...]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"`{where}.reward_keys` must be a list of names: got {keys!r}.")
    if len(set(keys)) < len(keys):
        raise ConfigError(f"`{where}.reward_keys` must be different from each other: got {keys}.")
    return tuple(keys)


def reward_means(rewards: Tensor, reward_keys: Sequence[str]) -> dict[str, float]:
    """Mean of each reward over the rollouts it applies to, as `rewards/<reward>/mean`: engines log the sum alone."""
    means = rewards.nanmean(0).tolist()
    return {f"rewards/{key}/mean": mean for key, mean in zip(reward_keys, means, strict=True)}


def matrix_of_samples(samples: Sequence[Any], names: Sequence[str], reward_keys: Sequence[str]) -> Tensor:
    """The rewards (N, K) of N samples, each with its components in a mapping.

    Args:
        samples: N mappings from component to score, as a reward function returned them.
        names: N names of the samples, for messages.
        reward_keys: K components.

    Returns:
        (N, K) float64; NaN where the score is None or NaN: the reward does not apply.

    Raises:
        RewardFunctionError: a sample lacks a component, or a score is not a finite number.

    Example:
        >>> matrix_of_samples([{"a": 1, "b": None}, {"a": 0, "b": 2.5}], ["first", "second"], ["a", "b"])
        tensor([[1.0000,    nan],
                [0.0000, 2.5000]], dtype=torch.float64)
    """
    for sample, name in zip(samples, names, strict=True):
        for key in reward_keys:
            if not isinstance(sample, Mapping) or key not in sample:
                has = ", ".join(map(str, sample)) if isinstance(sample, Mapping) else repr(sample)
                raise RewardFunctionError(
                    f"{name} has no reward {key!r}, it has: {has or 'nothing'}. The reward function must return a "
                    "dictionary with every component for every sample, None where one does not apply."
                )
    return matrix_of_columns([[sample[key] for sample in samples] for key in reward_keys], names, reward_keys)


def matrix_of_columns(columns: Sequence[Sequence[Any]], names: Sequence[str], reward_keys: Sequence[str]) -> Tensor:
    """The rewards (N, K) of K columns with N scores each; see `matrix_of_samples`."""
    for column, key in zip(columns, reward_keys, strict=True):
        if len(column) != len(names):
            raise InvalidInputError(
                f"Reward {key!r} needs one score per sample: expected {len(names)}, got {len(column)}."
            )
    return torch.tensor(
        [[_score(column[row], names[row], key) for column, key in zip(columns, reward_keys, strict=True)]
         for row in range(len(names))],
        dtype=torch.float64,
    )  # fmt: skip


def number_groups(groups: Iterable[Hashable]) -> Tensor:
    """The groups numbered 0, 1, ... in order of appearance, as `group_ids` (N,).

    Example:
        >>> number_groups(["x", "y", "x"])
        tensor([0, 1, 0])
    """
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(group, len(numbers)) for group in groups])


def _score(value: Any, name: str, key: str) -> float:
    """A score as float, NaN where the reward does not apply."""
    if value is None:
        return math.nan
    try:
        score = math.inf if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError):  # lists, arrays and tensors of several elements, objects
        score = math.inf
    if math.isinf(score):
        raise RewardFunctionError(
            f"{name}: reward {key!r} must be a finite number, or None where it does not apply: got {value!r}."
        )
    return score


def _plain(value: Any) -> Any:
    """Mappings and lists of configuration libraries as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return [_plain(one) for one in value] if is_list else value
