"""Prompts on which the rewards cancel the most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ShownRollout:
    """One completion of a conflicted group."""

    completion: str | None
    rewards: list[float | None]
    reward_advantages: list[float]
    snr: float
    conflict: bool
    count: int
    """Rollouts of the group with this completion and these rewards, among those that conflict the most."""


@dataclass(frozen=True)
class ShownGroup:
    """A prompt on which the rewards cancel the most."""

    step: int
    prompt: str | None
    size: int
    lost: float
    """Signal that cancels, per rollout, in standard deviations."""
    where: str
    rollouts: list[ShownRollout]
