"""One knob of a world turned: the same world at other values of one number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gd2po.errors import ConfigError, did_you_mean
from gd2po.worlds.declaration import Reward, World

_OF_WORLDS = ("prompts", "answers", "group_size", "prompts_per_step", "steps")
_OF_REWARDS = ("copies", "missing", "threshold", "weight")


def knobs(world: World) -> dict[str, tuple[Any, ...]]:
    """Every knob of a world with its values, those of the rewards in their order.

    Knobs are numbers of the world, as "group_size"; of a reward, as "grader.copies" or "grader.missing"; and of an
    error model, as "rare_gross.size", which turns all rewards that have it, or "grader.rare_gross.size".

    Example:
        >>> from gd2po.worlds import WORLDS
        >>> knobs(WORLDS["spiky3"])["rare_gross.size"]
        (3,)
    """
    found: dict[str, tuple[Any, ...]] = {name: (getattr(world, name),) for name in _OF_WORLDS}
    for reward in world.rewards:
        for name in _OF_REWARDS:
            if getattr(reward, name) is not None:
                found[f"{reward.name}.{name}"] = (getattr(reward, name),)
        for key, value in _error_numbers(reward).items():
            found[key] = (*found.get(key, ()), value)
            found[f"{reward.name}.{key}"] = (value,)
    return found


def turned(world: World, knob: str, value: float) -> World:
    """The world with one knob at another value, named after both.

    Args:
        world: any.
        knob: one of `knobs(world)`.
        value: what the knob is set to.

    Raises:
        ConfigError: the world has no such knob; names the nearest.
        InvalidInputError: the knob does not take the value.

    Example:
        >>> from gd2po.worlds import WORLDS
        >>> world = turned(WORLDS["spiky3"], "grader.copies", 4)
        >>> world.name, len(world.all_rewards)
        ('spiky3 grader.copies=4', 4)
    """
    known = knobs(world)
    if knob not in known:
        raise ConfigError(f"`knob`: the world {world.name!r} has no {knob!r}. {did_you_mean(knob, known)}")
    name = f"{world.name} {knob}={value:g}"
    if knob in _OF_WORLDS:
        changes: dict[str, Any] = {knob: value}
        if knob == "prompts" and world.prompts_per_step == world.prompts:
            changes["prompts_per_step"] = value
        return dataclasses.replace(world, name=name, **changes)
    return dataclasses.replace(
        world, name=name, rewards=tuple(_turned_reward(reward, knob, value) for reward in world.rewards)
    )


def variants(world: World, knob: str, values: Sequence[float]) -> list[World]:
    """The worlds of several values of a knob; raises what `turned` raises."""
    return [turned(world, knob, value) for value in values]


def _turned_reward(reward: Reward, knob: str, value: Any) -> Reward:
    if knob in _error_numbers(reward) or knob.removeprefix(f"{reward.name}.") in _error_numbers(reward):
        kind, field = knob.removeprefix(f"{reward.name}.").split(".")
        if kind == "flips" and reward.flips is not None:
            return dataclasses.replace(reward, flips=dataclasses.replace(reward.flips, **{field: value}))
        errors = (
            dataclasses.replace(error, **{field: value}) if error.kind == kind else error  # type: ignore[type-var]
            for error in reward.errors
        )
        return dataclasses.replace(reward, errors=tuple(errors))
    if knob in (f"{reward.name}.{name}" for name in _OF_REWARDS):
        return dataclasses.replace(reward, **{knob.removeprefix(f"{reward.name}."): value})
    return reward


def _error_numbers(reward: Reward) -> dict[str, Any]:
    """Numbers of the error models of a reward, as "rare_gross.size"."""
    models: list[tuple[str, Any]] = [(error.kind, error) for error in reward.errors]
    if reward.flips is not None:
        models.append(("flips", reward.flips))
    return {
        f"{kind}.{field.name}": getattr(model, field.name)
        for kind, model in models
        for field in dataclasses.fields(model)
        if isinstance(getattr(model, field.name), (int, float)) and not isinstance(getattr(model, field.name), bool)
    }
