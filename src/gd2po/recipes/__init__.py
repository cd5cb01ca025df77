"""Recipes: packaged run configurations, YAML with flat keys as TRL's own, resolved by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gd2po.errors import ConfigError, did_you_mean

_FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """Names of the packaged recipes, sorted.

    Example:
        >>> "quickstart" in recipe_names()
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def recipe_path(name_or_path: str) -> Path:
    """The YAML file of a recipe: a file of that path if there is one, else the packaged recipe of that name.

    Raises:
        ConfigError: neither exists; names the nearest recipe.

    Example:
        >>> recipe_path("quickstart").name
        'quickstart.yaml'
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = recipe_names()
    if name_or_path in names:
        return _FOLDER / f"{name_or_path}.yaml"
    hint = did_you_mean(name_or_path, names, f"The recipes are: {', '.join(names)}.")
    raise ConfigError(f"`config` must be a recipe or a YAML file: there is no {name_or_path!r}. {hint}")


def read_settings(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML file and their values.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_problem(error)}") from error
    if not isinstance(values, dict):
        got = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{path} must hold `key: value` lines: got {got}.")
    return values


def _problem(error: Exception) -> str:
    """What YAML does not understand, in one line, and where."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    hint = " Indent with blanks, which YAML wants, and not with tabs." if "'\\t'" in (error.problem or "") else ""
    return f"{error.problem} (line {error.problem_mark.line + 1}).{hint}"


def recipe_summary(name: str) -> str:
    """What a recipe is for: the first comment line of its file.

    Example:
        >>> bool(recipe_summary("quickstart"))
        True
    """
    return recipe_path(name).read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()


def recipe_command(name: str) -> str:
    """The command of gd2po that a packaged recipe is for, as the line `Command:` of its file says.

    Example:
        >>> recipe_command("quickstart"), recipe_command("warm-start")
        ('train', 'warm-start')
    """
    found = re.search(r"^# Command:\s+gd2po (\S+)", recipe_path(name).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ConfigError(f"The recipe {name!r} has no line `# Command:   gd2po ...`, which says how it is run.")
    return found[1]
