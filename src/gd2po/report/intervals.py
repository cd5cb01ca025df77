"""Estimates and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bootstrap interval over groups; without bounds where groups are too few."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; without bounds where it is over too few to say."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes zero and can be believed."""
        return self.excludes_zero


def sign_of(estimate: Estimate | None) -> int:
    """1 or −1 where an estimate is above or below zero beyond noise; 0 where it is not, or there is none.

    Example:
        >>> sign_of(Estimate(0.2, 0.1, 0.3)), sign_of(Estimate(-0.2, -0.3, 0.1)), sign_of(None)
        (1, 0, 0)
    """
    if estimate is None or not estimate.beyond_noise:
        return 0
    return 1 if estimate.value > 0 else -1
