"""What follows from numbers, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "act", "watch", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that is the case, in words."""

    level: Level
    title: str
    text: str
