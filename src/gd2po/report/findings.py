"""What follows from numbers, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gd2po.report.intervals import Estimate, sign_of
from gd2po.report.wording import counted, join

Level = Literal["good", "act", "watch", "note"]
Tone = Literal["good", "act", "note"]

_MOST_EDGES = 6


@dataclass(frozen=True)
class Finding:
    """Something that is the case, in words."""

    level: Level
    title: str
    text: str


def tone_of(difference: Estimate | None) -> Tone:
    """The level of a difference: "good" or "act" where it is beyond noise, else "note"."""
    tones: dict[int, Tone] = {1: "good", -1: "act", 0: "note"}
    return tones[sign_of(difference)]


def level_of(above: Sequence[object], below: Sequence[object]) -> Level:
    """The level of differences of which some are above a baseline beyond noise, and some below.

    Example:
        >>> level_of(["a"], []), level_of([], ["b"]), level_of(["a"], ["b"]), level_of([], [])
        ('good', 'act', 'watch', 'note')
    """
    if above and below:
        return "watch"
    return "good" if above else "act" if below else "note"


def edge_findings(chosen: Sequence[str], level: Level, meaning: str) -> list[Finding]:
    """What there is to say of learning rates at the edge of a grid.

    Args:
        chosen: each such choice, in words; none are no finding.
        level: of the finding.
        meaning: what follows, in sentences.
    """
    if not chosen:
        return []
    title = f"{counted(len(chosen), 'learning rate lies', 'learning rates lie')} at the edge of the grid"
    return [Finding(level, title, f"{join(chosen, _MOST_EDGES)}. {meaning}")]
