"""Values that `gd2po evaluate` writes in one word."""

from __future__ import annotations

from pathlib import Path

from gd2po.errors import ConfigError


def parse_levels(text: str) -> list[int]:
    """The levels in a list with commas.

    Raises:
        ConfigError: it is none.

    Example:
        >>> parse_levels("1,3")
        [1, 3]
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"`--levels` needs numbers with commas between them, like 1,3: got {text!r}.") from error


def parse_reward_models(text: str) -> dict[str, str]:
    """Reward models by name; a model without a name has that of its folder.

    Raises:
        ConfigError: one is empty, or two have the same name.

    Example:
        >>> parse_reward_models("useful=org/rm,models/harmless")
        {'useful': 'org/rm', 'harmless': 'models/harmless'}
    """
    models: dict[str, str] = {}
    for part in text.split(","):
        name, given, path = part.strip().partition("=")
        if not given:
            name, path = Path(name).name, name
        if not name or not path:
            raise ConfigError(f"`--reward_models` needs name=model with commas between them, got {text!r}.")
        if name in models:
            raise ConfigError(f"`--reward_models`: the name {name!r} is taken. Give each model its own: name=model.")
        models[name] = path
    return models
