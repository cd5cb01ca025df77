"""Worlds, settings, learning rates and sweeps from the texts in which somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from gd2po.comparison.run.plan import choose_methods, refuse_same_settings
from gd2po.core import Setting
from gd2po.errors import ConfigError, InvalidInputError, did_you_mean
from gd2po.worlds.catalogue import WORLDS
from gd2po.worlds.checks import check_learning_rate
from gd2po.worlds.declaration import World
from gd2po.worlds.knobs import knobs
from gd2po.worlds.reading import read_world

EVERY = "all"
"""The name of all packaged worlds together."""

_YAML = (".yaml", ".yml")


def choose_worlds(text: str) -> list[World]:
    """Worlds by name or YAML file, with commas between them.

    Raises:
        ConfigError: an unknown world, the nearest named; a file that declares none; none at all.

    Example:
        >>> [world.name for world in choose_worlds("gauss, spiky3")]
        ['gauss', 'spiky3']
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise ConfigError(f"`world` needs names or YAML files with commas between them, or {EVERY}: got {text!r}.")
    worlds: list[World] = []
    for name in names:
        if name == EVERY:
            worlds += WORLDS.values()
        elif name in WORLDS:
            worlds.append(WORLDS[name])
        elif name.endswith(_YAML):
            worlds.append(read_world(name))
        else:
            hint = did_you_mean(name, [*WORLDS, EVERY])
            raise ConfigError(f"`world`: there is no world {name!r}. {hint} A world of your own is a YAML file.")
    return worlds


def choose_settings(names: Sequence[str], own: Sequence[str]) -> dict[str, Setting]:
    """Settings by label.

    Args:
        names: of built-in methods.
        own: `name:key=value,key=value` each, the keys `advantage_estimator` and options of it.

    Raises:
        ConfigError: an unknown, repeated or malformed method, an option that it has not, or two that are the same.
        InvalidInputError: a value that an option does not take.

    Example:
        >>> choose_settings(["gdpo"], ["half:method=gd2po,snr_threshold=0.5"])["half"].label
        'gd2po-snr 0.5'
    """
    settings = {}
    for name, overrides in choose_methods(names, own).items():
        values = {_KEYS.get(key, key): _value(text, key, name) for key, text in overrides.items()}
        settings[name] = Setting.of(values, f"method {name}")
    refuse_same_settings(
        {name: {"method": setting.method.name, **setting.resolved} for name, setting in settings.items()}
    )
    return settings


_KEYS: Mapping[str, str] = {"advantage_estimator": "method"}
"""What trainers call the method."""


def _value(text: str, key: str, method: str) -> object:
    """A number, switch, list or word; lists may have blanks between their items, as for trainers."""
    try:
        if " " in text.strip() and not text.lstrip().startswith(("[", "{", '"', "'")):
            return [yaml.safe_load(item) for item in text.split()]
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"method {method!r}: `{key}` cannot be read: got {text!r}.") from error


def choose_learning_rates(text: str | None) -> list[float] | None:
    """The grid, numbers with commas between them; None for each world's own.

    Raises:
        ConfigError: not that, or one twice.

    Example:
        >>> choose_learning_rates("0.3,1")
        [0.3, 1.0]
    """
    if text is None:
        return None
    rates = _numbers(text, "learning_rates", "0.3,1,3")
    try:
        for rate in rates:
            check_learning_rate(rate, "learning_rates")
    except InvalidInputError as error:
        raise ConfigError(str(error)) from error
    return [float(rate) for rate in rates]


def choose_sweep(text: str, world: World) -> tuple[str, list[float]]:
    """A knob of a world and its values.

    Args:
        text: `knob=value,value`. The last word of a knob's name is enough where it is no other's: "size" for
            "rare_gross.size".
        world: whose knob it is.

    Raises:
        ConfigError: malformed, or a knob that the world has not, the nearest named.

    Example:
        >>> choose_sweep("size=0,1.5,3", choose_worlds("spiky3")[0])
        ('rare_gross.size', [0, 1.5, 3])
    """
    name, sign, values = text.partition("=")
    name = name.strip()
    if not sign or not name:
        raise ConfigError(f"`sweep` must be knob=value,value, as rare_gross.size=0,1,2,3: got {text!r}.")
    return _knob(name, world), _numbers(values, "sweep", "0,1,2,3")


def _knob(name: str, world: World) -> str:
    known = knobs(world)
    if name in known:
        return name
    # "grader.rare_gross.size" is one of the rewards behind "rare_gross.size".
    short = [knob for knob in known if knob.count(".") == 1 and knob.endswith(f".{name}")]
    if len(short) == 1:
        return short[0]
    if short:
        raise ConfigError(f"`sweep`: {name!r} is the end of {', '.join(short)} in {world.name!r}. Name one of them.")
    raise ConfigError(f"`sweep`: the world {world.name!r} has no knob {name!r}. {did_you_mean(name, known)}")


def _numbers(text: str, name: str, example: str) -> list[float]:
    """Numbers with commas between them, whole ones as such, each once."""
    numbers: list[float] = []
    for part in text.split(","):
        try:
            number: float = int(part)
        except ValueError:
            try:
                number = float(part)
            except ValueError as error:
                raise ConfigError(
                    f"`{name}` needs numbers with commas between them, like {example}: got {text!r}."
                ) from error
        if number in numbers:
            raise ConfigError(f"`{name}` has {number:g} twice: {text!r}. Leave one out.")
        numbers.append(number)
    return numbers
