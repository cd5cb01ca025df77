"""Worlds from YAML: the keys are the fields of `World`, `Goal`, `Reward` and the error models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gd2po.errors import ConfigError, GD2POError, did_you_mean
from gd2po.worlds.declaration import Goal, Reward, World
from gd2po.worlds.error_models import ERROR_MODELS, ErrorModel, Flips

Declared = TypeVar("Declared")


def read_world(path: str | Path) -> World:
    """The world of a YAML file.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or does not declare a world.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"`{path}` must be a YAML file that declares a world: {error}.") from error
    return world_of(values, str(path))


def world_of(values: Mapping[str, Any], where: str) -> World:
    """The world of a mapping.

    Args:
        values: fields of `World`. `goals` and `rewards` are lists of mappings with the fields of `Goal` and `Reward`;
            `errors` of a reward is a list of mappings with a `kind` and the fields of that error model.
        where: what the mapping is called, for messages.

    Raises:
        ConfigError: an unknown key, a missing one, or a value that a field does not take; says where.

    Example:
        >>> world_of({"name": "mine", "rewards": [{"name": "grader", "copy": 2}]}, "mine.yaml")
        Traceback (most recent call last):
        ...
        gd2po.errors.ConfigError: `mine.yaml`, reward 'grader' has no key 'copy'. Did you mean 'copies'?
    """
    where = f"`{where}`"
    fields = dict(_mapping(values, where))
    if "goals" in fields:
        goals = _list(fields["goals"], f"{where}, goals")
        fields["goals"] = tuple(_declared(Goal, goal, f"{where}, goal {_name(goal)}") for goal in goals)
    if "rewards" in fields:
        rewards = _list(fields["rewards"], f"{where}, rewards")
        fields["rewards"] = tuple(_reward(reward, f"{where}, reward {_name(reward)}") for reward in rewards)
    if "learning_rates" in fields:
        fields["learning_rates"] = tuple(_list(fields["learning_rates"], f"{where}, learning_rates"))
    return _declared(World, fields, where)


def _reward(values: Any, where: str) -> Reward:
    fields = dict(_mapping(values, where))
    if "errors" in fields:
        fields["errors"] = tuple(_error(error, where) for error in _list(fields["errors"], f"{where}, errors"))
    if fields.get("flips") is not None:
        fields["flips"] = _declared(Flips, fields["flips"], f"{where}, flips")
    return _declared(Reward, fields, where)


def _error(values: Any, where: str) -> ErrorModel:
    fields = dict(_mapping(values, f"{where}, error"))
    kind = fields.pop("kind", None)
    if kind not in ERROR_MODELS:
        raise ConfigError(f"{where}: there is no error model {kind!r}. {did_you_mean(str(kind), ERROR_MODELS)}")
    return _declared(ERROR_MODELS[kind], fields, f"{where}, error {kind}")


def _declared(kind: type[Declared], values: Any, where: str) -> Declared:
    """A dataclass of a mapping."""
    values = _mapping(values, where)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{where} has no key {key!r}. {did_you_mean(str(key), fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} needs a key {name!r}: got {', '.join(map(str, values)) or 'none'}.")
    try:
        return kind(**values)
    except GD2POError as error:
        raise ConfigError(f"{where}: {error}") from error


def _mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} needs keys and values: got {values!r}.")
    return values


def _list(values: Any, where: str) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        raise ConfigError(f"{where} needs a list: got {values!r}.")
    return list(values)


def _name(values: Any) -> str:
    return repr(values.get("name")) if isinstance(values, Mapping) else repr(values)
