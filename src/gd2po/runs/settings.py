"""How a run was made: what its rollout log and its folder say, and what a host writes into its rollout log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from gd2po.core import Setting
from gd2po.core.batch import Weights
from gd2po.core.families import family_labels
from gd2po.core.setting import method_named
from gd2po.errors import DataFormatError, GD2POError
from gd2po.runs.folder import CONFIG, read_config
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights
from gd2po.runs.spellings import families_by_name, weights_as_written

LOG, GIVEN = "its rollout log", "the caller"
"""Where settings come from: what says so."""

_SCALE_REWARDS = {"group": True, "none": False, True: True, False: False}
"""TRL's words for the option."""


@dataclass(frozen=True)
class RunSettings:
    """How the advantages of a run were computed, as far as that is known."""

    setting: Setting | None = None
    """None where nothing says it, or where what says it cannot be understood."""
    reward_weights: list[float] | None = None
    """One per reward of the log; None where nothing says it, and where they move."""
    weights_move: bool = False
    """The weights depend on the step, which the columns of the log then tell."""
    reward_conditions: RewardConditions | None = None
    """Which rewards of the log counted only where another one was high enough; None where all counted."""
    reward_families: list[str] | None = None
    """One per reward of the log; None where none are declared."""
    origin: str | None = None
    """Where both come from: `LOG`, `GIVEN` or the path of a config.yaml."""
    notes: tuple[str, ...] = ()
    """What could not be understood, in sentences."""

    @staticmethod
    def find(metadata: Mapping[str, Any] | None, folder: Path | None, reward_names: Sequence[str]) -> RunSettings:
        """The settings of the run that wrote a log.

        What a newer version or another hand wrote, and this one does not understand, becomes a note and no error.

        Args:
            metadata: what the rollout log holds, as of `describe_run`; None if it holds nothing.
            folder: of the run. Its config.yaml is asked where the log holds nothing.
            reward_names: K names of the log's rewards.

        Example:
            >>> run = {"method": "gd2po", "options": {"filtering": "hard"}, "reward_names": ["a", "b"],
            ...        "reward_weights": [1.0, 0.5]}
            >>> settings = RunSettings.find(run, None, ["b"])
            >>> settings.setting.label, settings.reward_weights, settings.origin
            ('gd2po-hard', [0.5], 'its rollout log')
        """
        if metadata is not None:
            return _from_metadata(metadata, reward_names)
        return RunSettings() if folder is None else _from_config(folder, reward_names)


def describe_run(
    setting: Setting,
    reward_names: Sequence[str],
    reward_weights: RewardWeights | Weights,
    reward_conditions: RewardConditions | None = None,
    reward_families: Sequence[str] | None = None,
) -> dict[str, Any]:
    """How a run is made, as plain values that travel with its rollout log and that `RunSettings.find` reads.

    Args:
        setting: the run's method and options.
        reward_names: K names.
        reward_weights: (K,) None means all 1.
        reward_conditions: of the run; None: it has none.
        reward_families: (K,) None where none are declared.

    Example:
        >>> describe_run(Setting.named("gdpo", "example"), ["correct", "brief"], None)["options"]
        {'scale_rewards': True, 'whitening': 'rollouts'}
    """
    if not isinstance(reward_weights, RewardWeights):
        given = [1.0] * len(reward_names) if reward_weights is None else reward_weights
        reward_weights = RewardWeights(tuple(float(weight) for weight in given))
    conditions = {} if reward_conditions is None else {"reward_conditions": reward_conditions.plain()}
    labels = None if reward_families is None else dict(zip(reward_names, reward_families, strict=True))
    families = {} if labels is None else {"reward_families": labels}
    return {
        "method": setting.method.name,
        "options": plain_values(setting.resolved),
        "reward_names": list(reward_names),
        "reward_weights": reward_weights.plain(),
        **conditions,
        **families,
    }


def plain_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON holds them.

    Example:
        >>> import torch
        >>> plain_values({"reward_minima": torch.tensor([-3.0, 0.0]), "mode": "gdpo"})
        {'reward_minima': [-3.0, 0.0], 'mode': 'gdpo'}
    """
    return {str(name): _plain(value) for name, value in options.items()}


def _plain(value: Any) -> Any:
    """Tensors and tuples as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return plain_values(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _from_metadata(found: Mapping[str, Any], reward_names: Sequence[str]) -> RunSettings:
    names = found.get("reward_names")

    def setting() -> Setting:
        options = _mapping({} if found.get("options") is None else found["options"], "options")
        given = {name: value for name, value in options.items() if value is not None}
        made = Setting.of({"method": _text(found.get("method"), "method"), **given}, "its options")
        if names != list(reward_names):
            _check_no_arrays(made, reward_names)
        return made

    return _understood(
        LOG, setting, lambda: _weights(found.get("reward_weights"), names, reward_names), found, reward_names
    )


def _from_config(folder: Path, reward_names: Sequence[str]) -> RunSettings:
    origin = str(folder / CONFIG)
    try:
        found = read_config(folder)
    except DataFormatError as error:
        return RunSettings(origin=origin, notes=(_not_understood(error),))
    if found is None:
        return RunSettings()
    config = found

    def weights() -> list[float] | None:
        if config.get("reward_weights") is None and config.get("advantage_estimator") is not None:
            return [1.0] * len(reward_names)  # a run that says nothing of weights has all 1
        return _weights(_as_written(config.get("reward_weights")), None, reward_names)

    return _understood(origin, lambda: _setting_of_config(config), weights, config, reward_names)


def _understood(
    origin: str,
    setting: Callable[[], Setting | None],
    weights: Callable[[], list[float] | None],
    found: Mapping[str, Any],
    reward_names: Sequence[str],
) -> RunSettings:
    """What can be made of all of it; whatever cannot becomes a note."""
    found_setting, found_weights, conditions, families, notes = None, None, None, None, []
    try:
        found_setting = setting()
    except (GD2POError, ValueError) as error:
        notes.append(_not_understood(f"In {origin}: {error}"))
    moves = _weights_move(_as_written(found.get("reward_weights")))
    try:
        found_weights = None if moves else weights()
    except ValueError as error:
        notes.append(f"The reward weights in {origin} were not understood: {error}.")
    try:
        conditions = _conditions(found.get("reward_conditions"), reward_names)
    except GD2POError as error:
        notes.append(
            f"The reward conditions in {origin} were not understood, so every reward is taken as its function gave it: "
            f"{str(error).rstrip('. ')}."
        )
    try:
        families = _families(found.get("reward_families"), reward_names)
    except GD2POError as error:
        notes.append(f"The reward families in {origin} were not understood: {str(error).rstrip('. ')}.")
    return RunSettings(found_setting, found_weights, moves, conditions, families, origin, tuple(notes))


def _setting_of_config(config: Mapping[str, Any]) -> Setting | None:
    if config.get("advantage_estimator") is None:
        return None
    method = method_named(_text(config["advantage_estimator"], "advantage_estimator"), "`advantage_estimator`")
    # The file holds the options of all methods; None stands for the method's own default.
    options = {
        name: config[name] if option.bounds is None else _number(config[name])
        for name, option in method.options.items()
        if config.get(name) is not None
    }
    if "scale_rewards" in options:
        scale = options["scale_rewards"]
        if not isinstance(scale, (str, bool)) or scale not in _SCALE_REWARDS:
            raise ValueError(f"`scale_rewards` must be 'group' or 'none', got {scale!r}")
        options["scale_rewards"] = _SCALE_REWARDS[scale]
    return Setting.of({"method": method.name, **options}, "its options")


def _weights_move(weights: Any) -> bool:
    """Whether some weight is a schedule or a function: a mapping, or an import path. What they are is not asked."""
    entries = list(weights.values()) if isinstance(weights, Mapping) else weights
    if not isinstance(entries, list):
        return False
    return any(
        isinstance(one, Mapping) or (isinstance(one, str) and _number(one) is one and "." in one) for one in entries
    )


def _as_written(weights: Any) -> Any:
    """Weights that are text taken apart; what cannot be is left for `_weights` to refuse."""
    try:
        return weights if weights is None else weights_as_written(weights, "reward_weights")
    except GD2POError:
        return weights


def _number(weight: Any) -> Any:
    """A number that a command line gave as text; anything else as it is."""
    try:
        return float(weight) if isinstance(weight, str) else weight
    except ValueError:
        return weight


def _conditions(found: Any, reward_names: Sequence[str]) -> RewardConditions | None:
    if not found:
        return None
    conditions = RewardConditions.of(found)
    conditions.check_names(reward_names)
    return conditions


def _weights(weights: Any, names: Any, reward_names: Sequence[str]) -> list[float] | None:
    """One weight per reward of the log; by name where the names are known, else by place."""
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        if weights.keys().isdisjoint(reward_names):
            raise ValueError(f"they name {', '.join(map(str, weights))}, and not {', '.join(reward_names)}")
        weights = [weights.get(name, 1.0) for name in reward_names]
    weights = [_number(weight) for weight in weights] if isinstance(weights, list) else weights
    if not isinstance(weights, list) or not all(_is_number(weight) for weight in weights) or not any(weights):
        raise ValueError(f"expected finite numbers that are not all 0, got {weights!r}")
    if isinstance(names, list) and len(names) == len(weights):
        by_name = {str(name): weight for name, weight in zip(names, weights, strict=True)}
        unknown = [name for name in reward_names if name not in by_name]
        if unknown:
            raise ValueError(f"they name {', '.join(by_name)}, and not {', '.join(unknown)}")
        weights = [by_name[name] for name in reward_names]
        if not any(weights):
            raise ValueError("the rewards of this log all have weight 0")
    if len(weights) != len(reward_names):
        raise ValueError(f"there are {len(weights)} for {len(reward_names)} rewards ({', '.join(reward_names)})")
    return [float(weight) for weight in weights]


def _families(families: Any, reward_names: Sequence[str]) -> list[str] | None:
    """One per reward of the log, which need not be all rewards of the run."""
    if isinstance(families, str):  # as the command line took it
        families = families_by_name(families)
    if isinstance(families, Mapping):
        families = {name: families[name] for name in reward_names if name in families} or None
    return family_labels(families, reward_names, "reward_families")


def _check_no_arrays(setting: Setting, reward_names: Sequence[str]) -> None:
    """Raise if the setting has numbers per reward, which go with the run's rewards in their order."""
    arrays = [name for name, value in setting.options.items() if setting.method.options[name].is_array and value]
    if arrays:
        raise ValueError(
            f"`{arrays[0]}` has a number for every reward of the run, and the log is read for {', '.join(reward_names)}"
        )


def _not_understood(why: object) -> str:
    return (
        "How the run was made was not understood, so none of the methods is marked as its own. "
        f"{str(why).rstrip('. ')}. A newer version of gd2po may have written it."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"`{what}` must be a text, got {value!r}")
    return value


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"`{what}` must be a mapping, got {type(value).__name__}")
    return value
