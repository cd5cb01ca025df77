"""A method with its options: what a run, a row of a diagnosis and a line of a comparison are."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from gd2po.core.batch import Families, RewardBatch, Weights
from gd2po.core.methods import METHODS
from gd2po.core.methods.base import Method
from gd2po.core.result import AdvantageResult
from gd2po.errors import ConfigError, InvalidInputError, did_you_mean

Made = TypeVar("Made")
"""A setting, or what makes one."""


@dataclass(frozen=True)
class Setting:
    """A method with its options: a run, a row of a diagnosis, a line of a comparison."""

    method: Method
    options: Mapping[str, Any]
    """Those that were given; the others have their defaults."""

    @staticmethod
    def of(values: Mapping[str, Any], where: str) -> Setting:
        """The setting of a mapping.

        Args:
            values: `method`, `default_method` without one, and options of it.
            where: what the mapping is called, for messages.

        Raises:
            ConfigError: an unknown method or option (a ValueError).
            InvalidInputError: a value that an option does not take (a ValueError).

        Example:
            >>> Setting.of({}, "my.yaml").label, Setting.of({"filtering": "hard"}, "my.yaml").label
            ('consensus', 'gd2po-hard')
            >>> Setting.of({"method": "gd2po", "filterin": "hard"}, "my.yaml")
            Traceback (most recent call last):
            ...
            gd2po.errors.ConfigError: `my.yaml` has no option 'filterin' of gd2po. Did you mean 'filtering'?
        """
        options = {name: value for name, value in values.items() if name != "method"}
        method = method_named(values.get("method", default_method(options)), f"`{where}`: `method`")
        for name, value in options.items():
            if name not in method.options:
                raise ConfigError(
                    f"`{where}` has no option {name!r} of {method.name}. {_owners(name, method) or ''}"
                    f"{did_you_mean(name, method.options)}"
                )
            try:
                method.options[name].check(value)
            except ValueError as error:
                raise InvalidInputError(f"`{where}`: {error}") from error
        _check_needs(method, options, where)
        return Setting(method, types.MappingProxyType(options))

    @staticmethod
    def named(label: str, where: str) -> Setting:
        """The setting of a label such as "gdpo" or "gd2po-hard".

        Raises:
            ConfigError: there is none of that label, or its method needs an option that no label gives (a ValueError).

        Example:
            >>> dict(Setting.named("gd2po-hard", "methods").options)
            {'filtering': 'hard'}
        """
        known = all_labels()
        if label not in known:
            raise ConfigError(f"`{where}`: there is no method {label!r}. {did_you_mean(label, known)}")
        method, options = known[label]
        _check_needs(method, options, where)
        return Setting(method, types.MappingProxyType(dict(options)))

    @property
    def resolved(self) -> dict[str, Any]:
        """Every option with its value."""
        return {name: self.options.get(name, option.default) for name, option in self.method.options.items()}

    @property
    def label(self) -> str:
        """The name of the setting in tables: the variant, the value it is known by, and whatever else is not usual.

        Example:
            >>> Setting.of({"filtering": "snr", "snr_threshold": 0.5, "whitening": "tokens"}, "example").label
            'gd2po-snr 0.5 whitening=tokens'
        """
        resolved, best, told = self.resolved, self.method.name, dict[str, Any]()
        for variant, options in self.method.variants.items():
            fixed = {name: value for name, value in options.items() if value is not ...}
            if all(resolved[name] == value for name, value in fixed.items()) and len(options) >= len(told):
                best, told = f"{self.method.name}-{variant}", dict(options)
        shown = [_short(resolved[name]) for name, value in told.items() if value is ...]
        for name, option in self.method.options.items():
            if name not in told and not _equal(resolved[name], option.default):
                shown.append(f"{name}={_short(resolved[name])}")
        return " ".join([best, *shown])

    @property
    def uses_families(self) -> bool:
        """Whether `reward_families` make a difference."""
        return self.method.uses_families(self.resolved)

    def finds_families(self, reward_families: Families) -> bool:
        """Whether it looks for families by correlation where these are declared, or None."""
        declared = self.uses_families and reward_families is not None
        return not declared and self.method.finds_families(self.resolved)

    def advantages(
        self,
        rewards: Tensor,
        group_ids: Tensor,
        *,
        reward_weights: Weights = None,
        reward_families: Families = None,
        correlations: Tensor | None = None,
        token_counts: Tensor | None = None,
    ) -> AdvantageResult:
        """The advantages of N rollouts.

        Args:
            rewards: (N, K) as of every method's function, like all that follows; or a `Stack`, of a stackable method.
            group_ids: (N,)
            reward_weights: (K,) None means all 1.
            reward_families: (K,) labels, for settings that use them; others are not told.
            correlations: (K, K) over batches, for settings that find families by them; others are not told.
            token_counts: (N,)
        """
        known: dict[str, Any] = {"reward_families": reward_families} if self.uses_families else {}
        if self.finds_families(reward_families):
            known["correlations"] = correlations
        return self.method.function(
            rewards, group_ids, reward_weights=reward_weights, token_counts=token_counts, **known, **self.options
        )

    def warnings(
        self,
        rewards: Tensor,
        group_ids: Tensor,
        *,
        reward_weights: Weights = None,
        reward_families: Families = None,
        reward_names: Sequence[str] | None = None,
    ) -> list[str]:
        """What to know before using the setting on such rewards.

        Args:
            rewards: (N, K) of any batch.
            group_ids: (N,) their groups.
            reward_weights: (K,) None means all 1.
            reward_families: (K,) labels, equal for rewards of one family; None where they are not known.
            reward_names: K names; None: "reward 0" and so on.

        Returns:
            Sentences without numbers of the batch: say each one once.

        Raises:
            InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).

        Example:
            >>> import torch
            >>> rewards = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])
            >>> Setting.named("gdpo", "example").warnings(rewards, torch.tensor([0, 0]))
            []
        """
        batch = RewardBatch.from_input(rewards, group_ids, reward_weights, reward_families=reward_families)
        num_rewards = batch.rewards.shape[1]
        names = reward_names or [f"reward {reward}" for reward in range(num_rewards)]
        if len(names) != num_rewards:
            raise InvalidInputError(
                f"`reward_names` needs one name per reward: expected {num_rewards}, got {len(names)}."
            )
        return self.method.warn(batch, self.resolved, names)


def labelled(settings: Sequence[Setting] | Mapping[str, Made]) -> dict[str, Setting | Made]:
    """Settings by label: their own, or the names that a mapping gives them.

    Raises:
        InvalidInputError: none, or two of one label.

    Example:
        >>> list(labelled([Setting.named("gdpo", "example"), Setting.named("gd2po-hard", "example")]))
        ['gdpo', 'gd2po-hard']
    """
    named: dict[str, Setting | Made]
    named = dict(settings) if isinstance(settings, Mapping) else {setting.label: setting for setting in settings}
    if not named or len(named) < len(settings):
        raise InvalidInputError(f"`settings` needs one or more of different labels: got {', '.join(named) or 'none'}.")
    return named


def method_named(name: Any, where: str) -> Method:
    """The method of a name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name not in METHODS:
        hint = did_you_mean(str(name), METHODS)
        raise ConfigError(f"{where} must be one of {', '.join(METHODS)}: got {name!r}. {hint}")
    return METHODS[name]


def default_method(options: Iterable[str]) -> str:
    """The method of a run that names none.

    Args:
        options: those that were given.

    Returns:
        consensus, which loses to gdpo nowhere beyond noise (docs/families.md) and is gdpo where no families are
        declared; but gd2po where an option is given that consensus has not.

    Example:
        >>> default_method([]), default_method(["whitening"]), default_method(["snr_threshold"])
        ('consensus', 'consensus', 'gd2po')
    """
    return "consensus" if METHODS["consensus"].options.keys() >= set(options) else "gd2po"


def all_labels() -> dict[str, tuple[Method, Mapping[str, Any]]]:
    """Every method and variant by label."""
    return {label: (method, options) for method in METHODS.values() for label, options in method.labels.items()}


def _check_needs(method: Method, options: Mapping[str, Any], where: str) -> None:
    for name in method.needs:
        if options.get(name) is None:
            raise ConfigError(f"`{where}`: {method.name} needs `{name}`: {method.options[name].help}")


def _owners(name: str, method: Method) -> str | None:
    owners = [other.name for other in METHODS.values() if name in other.options and other is not method]
    return f"It is one of {', '.join(owners)}. " if owners else None


def _equal(one: Any, other: Any) -> bool:
    return bool(one is other or (type(one) is type(other) and not isinstance(one, Tensor) and one == other))


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    method: str = "gd2po",
    reward_weights: Weights = None,
    reward_families: Families = None,
    token_counts: Tensor | None = None,
    **options: Any,
) -> AdvantageResult:
    """Advantages by the name of the method.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        method: a name in `METHODS`.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out.
        reward_families: (K,) labels, equal for rewards that measure the same thing, for settings that use them.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".
        **options: of the method.

    Returns:
        An `AdvantageResult`.

    Raises:
        ConfigError: an unknown method or option (a ValueError).
        InvalidInputError: wrong shapes or lengths, a value that an option does not take, or an infinite reward or
            weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> advantages(rewards, torch.tensor([7, 7, 7, 7]), method="gd2po", filtering="hard").keep_mask
        tensor([False, False,  True,  True])
    """
    setting = Setting.of({"method": method, **options}, "advantages")
    if reward_families is not None and not setting.uses_families:
        raise InvalidInputError(
            f"`reward_families` has no effect on {setting.label}: take conflict_pairs='families' of gd2po, or "
            "consensus, or leave the families out."
        )
    return setting.advantages(
        rewards, group_ids, reward_weights=reward_weights, reward_families=reward_families, token_counts=token_counts
    )
