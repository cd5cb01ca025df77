"""Where the numbers come from: the log, the run behind it, and how its policy scored on held-out prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

WeightsOrigin = Literal["given", "run", "assumed"]


@dataclass(frozen=True)
class Run:
    """How the run that wrote the log was made."""

    label: str
    """Its setting as among the methods."""
    method: str
    options: dict[str, Any]
    """All of the method's."""
    origin: str
    """What says so: the rollout log, a config.yaml, or the caller."""
    reward_conditions: list[dict[str, Any]]
    """Which rewards counted only where another one was high enough."""


@dataclass(frozen=True)
class Source:
    """Where the numbers come from."""

    path: str
    format: str
    files: int
    rollouts: int
    groups: int
    single_rollout_groups: int
    group_sizes: dict[int, int]
    """How many groups have each size, the most common sizes first."""
    steps: int
    first_step: int
    last_step: int
    skipped_rows: int
    notes: list[str]
    run: Run | None
    """None where nothing says how the run was made."""
    weights_origin: WeightsOrigin
    """Whether the weights of the rewards were given, are those of the run, or are assumed to be 1."""


@dataclass(frozen=True)
class HeldOutScore:
    """A mean over the held-out prompts."""

    name: str
    is_share: bool
    values: list[float | None]
    """One per evaluation."""


@dataclass(frozen=True)
class HeldOut:
    """How the policy scored on prompts that it was not trained on."""

    num_prompts: int
    steps: list[int]
    """Steps of training behind it, per evaluation."""
    scores: list[HeldOutScore]
