"""Commands for people to paste."""

from __future__ import annotations

import shlex


def replay_command(log: str) -> str:
    """The command that replays a log, for people to paste.

    Example:
        >>> replay_command("my runs/one")
        "gd2po replay 'my runs/one' --gold COLUMN"
    """
    return f"gd2po replay {shlex.quote(log)} --gold COLUMN"
