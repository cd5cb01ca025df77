"""Commands for people to paste, from where they stand."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def program() -> str:
    """How the command `gd2po` of this environment is called from here, ready to paste.

    Its name where it is on the path, else its path; through Python where there is no such script.
    """
    beside = Path(sys.executable).with_name("gd2po")
    found = shutil.which("gd2po")
    if found is not None and (not beside.exists() or Path(found).samefile(beside)):
        return "gd2po"
    if beside.exists():
        return shlex.quote(_from_here(beside))
    return f"{shlex.quote(sys.executable)} -m gd2po"


def activation() -> str | None:
    """The command that puts this environment on the path; None where it is there, or the environment has none."""
    script = Path(sys.executable).with_name("activate")
    if program() == "gd2po" or not script.exists():
        return None
    return f"source {shlex.quote(_from_here(script))}"


def command(*words: str | Path) -> str:
    """A command of gd2po, quoted for a shell.

    Example:
        >>> command("diagnose", "my runs/one").endswith("diagnose 'my runs/one'")
        True
    """
    return f"{program()} {shlex.join(map(str, words))}"


def replay_command(log: str) -> str:
    """The command that replays a log, for people to paste.

    Example:
        >>> replay_command("my runs/one").endswith("replay 'my runs/one' --gold COLUMN")
        True
    """
    return command("replay", log, "--gold", "COLUMN")


def _from_here(path: Path) -> str:
    """A path relative to the working directory where it lies below it, else in full."""
    relative = os.path.relpath(path.absolute())
    return str(path.absolute()) if relative.startswith(os.pardir) else relative


def train_again_command(config: str, output_dir: str, changes: Mapping[str, Any]) -> str:
    """The command that repeats a run with some of its fields changed, as it is where `gd2po` is on the path.

    Args:
        config: config.yaml of the run.
        output_dir: of the new run.
        changes: fields and their values: numbers, texts, lists and mappings.

    Example:
        >>> print(train_again_command("runs/a/config.yaml", "runs/a-again", {"reward_families": {"x": "y"}}))
        gd2po train --config runs/a/config.yaml --output_dir runs/a-again --reward_families '{"x": "y"}'
    """
    words = ["gd2po", "train", "--config", config, "--output_dir", output_dir]
    for name, value in changes.items():
        words += [f"--{name}", *([_word(item) for item in value] if isinstance(value, list) else [_word(value)])]
    return shlex.join(words)


def check_rewards_command(config: str) -> str:
    """The command that tries the rewards of a run on rollouts of its start policy, likewise.

    Example:
        >>> check_rewards_command("runs/a/config.yaml")
        'gd2po check-rewards --config runs/a/config.yaml'
    """
    return shlex.join(["gd2po", "check-rewards", "--config", config])


def configuration_lines(changes: Mapping[str, Any]) -> str:
    """The same changes as lines of a configuration in YAML; JSON, which YAML reads too, so that any name is safe.

    Example:
        >>> print(configuration_lines({"advantage_estimator": "consensus", "reward_weights": [1.0, 2.0]}))
        advantage_estimator: consensus
        reward_weights: [1.0, 2.0]
    """
    return "\n".join(f"{name}: {value if isinstance(value, str) else _json(value)}" for name, value in changes.items())


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
