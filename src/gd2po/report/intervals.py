"""An estimate and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bootstrap interval over groups; without bounds where groups are too few."""

    value: float | None
    low: float | None
    high: float | None
