"""What follows from the numbers, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VerdictKind = Literal["no_conflict", "noise", "blind_spot", "trade_off", "mixed", "unclear", "one_reward", "no_signal"]


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict, with what it rests on."""

    rule: str
    level: Literal["act", "watch", "good", "note"]
    title: str
    text: str
    """What is the case, with its numbers."""
    advice: str
    """What to do about it."""
    sureness: float | None
    """Share of the bootstrap resamples in which the rule holds; None where there is nothing to resample."""
    numbers: dict[str, float | str | None]


@dataclass(frozen=True)
class Verdict:
    """The answer."""

    headline: str
    kind: VerdictKind
    findings: list[Finding]


@dataclass(frozen=True)
class Action:
    """What to do next: the one thing that follows from the verdict."""

    title: str
    text: str
    command: str | None
    """For a shell; None where there is nothing to run, or no run folder to start from."""
    configuration: str | None
    """Lines of a configuration in YAML, where the log is in no run folder."""
