"""For engines that keep reward components in dictionaries: settings from a mapping, and the reward matrix."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, diagnose_batch, gd2po_advantages
from gd2po.core.metrics import PREFIX, batch_metrics
from gd2po.errors import ConfigError, GD2POError, InvalidInputError, RewardFunctionError

_SIGNATURE = inspect.signature(gd2po_advantages)
OPTIONS = tuple(
    name
    for name, parameter in _SIGNATURE.parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "token_counts"
)
"""Options of the method: the keywords of `gd2po_advantages`, so that there is one list of them."""

_SWITCHES = tuple(name for name in OPTIONS if isinstance(_SIGNATURE.parameters[name].default, bool))


@dataclass(frozen=True)
class MethodSettings:
    """Which components of a reward are the rewards, and the options of `gd2po_advantages`."""

    reward_keys: tuple[str, ...]
    options: dict[str, Any]

    @staticmethod
    def from_mapping(section: Any, where: str) -> MethodSettings:
        """Settings of a configuration section, checked in full.

        Args:
            section: a mapping with `reward_keys` and any keywords of `gd2po_advantages`.
            where: what the section is called in the configuration, for messages.

        Raises:
            ConfigError: no section, an unknown key, or a value that `gd2po_advantages` does not take.

        Example:
            >>> MethodSettings.from_mapping({"reward_keys": ["a", "b"], "filterin": "hard"}, "algorithm.gd2po")
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
        values = {str(key): _plain(value) for key, value in section.items()}
        for key in values:
            if key not in ("reward_keys", *OPTIONS):
                raise ConfigError(f"`{where}` has no key {key!r}. {_hint(key)}")
        reward_keys = values.pop("reward_keys")
        if not isinstance(reward_keys, list) or not all(isinstance(key, str) for key in reward_keys):
            raise ConfigError(f"`{where}.reward_keys` must be a list of names: got {reward_keys!r}.")
        if len(set(reward_keys)) < len(reward_keys):
            raise ConfigError(f"`{where}.reward_keys` must be different from each other: got {reward_keys}.")
        for name in _SWITCHES:
            if not isinstance(values.get(name, True), bool):
                raise ConfigError(f"`{where}.{name}` must be true or false: got {values[name]!r}.")
        settings = MethodSettings(tuple(reward_keys), values)
        try:
            # The core checks its own options; two rollouts are enough to hear about them before the run.
            settings.advantages(
                torch.tensor([[0.0], [1.0]]).expand(2, len(reward_keys)), torch.tensor([0, 0]), torch.tensor([1, 1])
            )
        except (GD2POError, TypeError) as error:
            raise ConfigError(f"`{where}`: {error}") from error
        return settings

    def advantages(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> AdvantageResult:
        """The advantages of N rollouts: rewards (N, K), groups (N,), completion tokens (N,)."""
        return gd2po_advantages(rewards, group_ids, token_counts=token_counts, **self.options)

    def metrics(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult) -> dict[str, float]:
        """What a trainer logs of a batch: docs/metrics.md, and the mean of each reward as `rewards/<reward>/mean`."""
        diagnostics = diagnose_batch(rewards, group_ids, result, reward_weights=self.options.get("reward_weights"))
        metrics = batch_metrics(diagnostics, self.reward_keys)
        metrics[f"{PREFIX}/snr_threshold"] = result.snr_threshold
        means = rewards.nanmean(0).tolist()
        return metrics | {f"rewards/{key}/mean": mean for key, mean in zip(self.reward_keys, means, strict=True)}


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
    """Lists of configuration libraries as Python's own."""
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return list(value) if is_list else value


def _hint(key: str) -> str:
    """The nearest known key, or all of them."""
    known = ("reward_keys", *OPTIONS)
    nearest = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"It has: {', '.join(known)}."
