"""Commands for people to paste, from where they stand."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


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
