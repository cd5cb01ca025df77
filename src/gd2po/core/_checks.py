"""What the advantage functions accept, and what they say about anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gd2po.errors import InvalidInputError, InvalidTypeError


def check_rewards(rewards: Tensor) -> tuple[Tensor, bool]:
    """The rewards as a floating-point (N, K) matrix, and whether any of them does not apply (NaN)."""
    rewards = _as_tensor(rewards, "rewards")
    if rewards.ndim != 2:
        raise InvalidInputError(
            f"`rewards` needs two dimensions, (rollouts, rewards): got shape {tuple(rewards.shape)}. For one reward "
            "pass rewards[:, None]."
        )
    if 0 in rewards.shape:
        raise InvalidInputError(
            f"`rewards` needs at least one rollout and one reward: got shape {tuple(rewards.shape)}."
        )
    if not rewards.is_floating_point():
        if rewards.is_complex():
            raise InvalidTypeError(f"`rewards` needs real numbers: got {rewards.dtype}.")
        rewards = rewards.to(torch.get_default_dtype())
    rewards = rewards.detach()
    # One pass, one synchronisation: the largest magnitude is finite unless there is a NaN or an infinity.
    if math.isfinite(float(rewards.abs().max())):
        return rewards, False
    infinite = rewards.isinf().nonzero()
    if infinite.numel():
        row, reward = infinite[0].tolist()
        raise InvalidInputError(
            f"`rewards` needs finite numbers: row {row}, reward {reward} is {float(rewards[row, reward])}. Clip it, or "
            "write NaN where the reward does not apply."
        )
    return rewards, True


def check_group_ids(group_ids: Tensor, rewards: Tensor) -> Tensor:
    """The group ids as an (N,) integer vector on the device of the rewards."""
    group_ids = _as_tensor(group_ids, "group_ids")
    if group_ids.is_floating_point() or group_ids.is_complex() or group_ids.dtype == torch.bool:
        raise InvalidTypeError(f"`group_ids` needs integers: got {group_ids.dtype}.")
    return _check_rows(group_ids, "group_ids", "id", rewards).to(rewards.device)


def check_reward_weights(reward_weights: Tensor | Sequence[float] | None, rewards: Tensor) -> Tensor | None:
    """The weights as a (K,) vector in the dtype to compute in; None for all 1."""
    if reward_weights is None:
        return None
    weights = _as_tensor(reward_weights, "reward_weights").detach()
    if weights.shape != (rewards.shape[1],):
        raise InvalidInputError(
            f"`reward_weights` needs one weight per reward: expected shape ({rewards.shape[1]},), got "
            f"{tuple(weights.shape)}."
        )
    values = weights.tolist()
    if not all(math.isfinite(value) for value in values):
        raise InvalidInputError(
            f"`reward_weights` needs finite numbers: got {values}. A weight of 0 leaves a reward out."
        )
    return weights


def check_token_counts(token_counts: Tensor | None, whitening: str, rewards: Tensor) -> Tensor | None:
    """The token counts as an (N,) vector where the whitening needs them, else None."""
    if whitening != "tokens":
        return None
    if token_counts is None:
        raise InvalidInputError(
            "`token_counts` is needed for whitening='tokens': pass the completion tokens of each rollout, (N,), or "
            "use whitening='rollouts'."
        )
    counts = _check_rows(_as_tensor(token_counts, "token_counts"), "token_counts", "count", rewards)
    if not bool(((counts >= 0) & counts.isfinite()).all()):
        raise InvalidInputError("`token_counts` needs finite numbers of at least 0: some are negative or not finite.")
    return counts.to(rewards.device)


def check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    """Raise unless the value is one of the choices."""
    if value not in choices:
        raise InvalidInputError(f"`{name}` must be one of {', '.join(map(repr, choices))}: got {value!r}.")


def check_range(value: float, name: str, low: float, high: float) -> None:
    """Raise unless the value lies between the bounds, both included."""
    if isinstance(value, str) or not low <= value <= high:  # NaN fails the comparison
        raise InvalidInputError(f"`{name}` must lie in [{low:g}, {high:g}]: got {value!r}.")


def _as_tensor(values: object, name: str) -> Tensor:
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidTypeError(
            f"`{name}` must be a tensor, or numbers that torch.as_tensor accepts: got {type(values).__name__} ({error})."
        ) from error


def _check_rows(values: Tensor, name: str, item: str, rewards: Tensor) -> Tensor:
    if values.ndim != 1:
        raise InvalidInputError(f"`{name}` needs one dimension, (rollouts,): got shape {tuple(values.shape)}.")
    if len(values) != len(rewards):
        raise InvalidInputError(
            f"`{name}` needs one {item} per rollout: expected {len(rewards)} (the rows of `rewards`), got {len(values)}."
        )
    return values
