"""What the advantage functions accept, and what they say about anything else."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from numbers import Real

import torch
from torch import Tensor

from gd2po.core.groups import compute_dtype
from gd2po.core.stack import Stack
from gd2po.errors import InvalidInputError, InvalidTypeError

ROUNDING_OF_1 = 1e-6
"""By which a quotient that is at most 1 may be above it."""

FLOAT_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def check_rewards(rewards: Tensor) -> Tensor:
    """The rewards as a floating-point (N, K) matrix, or (S, N, K); `check_values` looks at what is in it."""
    rewards = _as_tensor(rewards, "rewards")
    if rewards.ndim != (3 if isinstance(rewards, Stack) else 2):
        raise InvalidInputError(
            f"`rewards` needs two dimensions, (rollouts, rewards): got shape {tuple(rewards.shape)}. For one reward "
            "pass rewards[:, None]."
        )
    if 0 in rewards.shape:
        raise InvalidInputError(
            f"`rewards` needs at least one rollout and one reward: got shape {tuple(rewards.shape)}."
        )
    if not rewards.is_floating_point() and not rewards.is_complex():
        rewards = rewards.to(torch.get_default_dtype())
    if rewards.dtype not in FLOAT_DTYPES:
        raise InvalidTypeError(
            f"`rewards` needs real numbers of 16, 32 or 64 bits: got {rewards.dtype}. Convert them, say with .float()."
        )
    return rewards.detach().as_subclass(Tensor)


def check_group_ids(group_ids: Tensor, rewards: Tensor) -> Tensor:
    """The group ids as an (N,) int64 vector on the device of the rewards."""
    group_ids = _as_tensor(group_ids, "group_ids")
    if group_ids.is_floating_point() or group_ids.is_complex() or group_ids.dtype == torch.bool:
        raise InvalidTypeError(f"`group_ids` needs integers: got {group_ids.dtype}.")
    _check_rows(group_ids, "group_ids", "id", rewards)
    return _move(group_ids, rewards.device, torch.int64)


def check_reward_weights(reward_weights: Tensor | Sequence[float] | None, rewards: Tensor) -> Tensor | None:
    """The weights as a (K,) vector on the device of the rewards, in the dtype to compute in; None for all 1."""
    if reward_weights is None:
        return None
    # Numbers of Python are 64 bits wide: torch's default dtype would round a weight of 0.1 to 32.
    weights = _as_tensor(reward_weights, "reward_weights", torch.float64).detach()
    if weights.is_complex():
        raise InvalidTypeError(f"`reward_weights` needs real numbers: got {weights.dtype}.")
    if weights.shape != (rewards.shape[-1],):
        raise InvalidInputError(
            f"`reward_weights` needs one weight per reward: expected shape ({rewards.shape[-1]},), got "
            f"{tuple(weights.shape)}."
        )
    values = weights.tolist()
    if not all(math.isfinite(value) for value in values):
        raise InvalidInputError(
            f"`reward_weights` needs finite numbers: got {values}. A weight of 0 leaves a reward out."
        )
    return _move(weights, rewards.device, compute_dtype(rewards.device))


def check_reward_families(
    reward_families: Tensor | Sequence[Hashable] | None, rewards: Tensor
) -> tuple[Hashable, ...] | None:
    """The families as K labels; None where none are given."""
    if reward_families is None:
        return None
    if isinstance(reward_families, (str, Mapping)) or not isinstance(reward_families, (Tensor, Sequence)):
        raise InvalidTypeError(
            "`reward_families` needs a list with one label per reward, equal for rewards of one family: got "
            f"{reward_families!r}. Only hosts, which know the names of the rewards, take a mapping from names."
        )
    labels = tuple(reward_families.tolist() if isinstance(reward_families, Tensor) else reward_families)
    if len(labels) != rewards.shape[-1]:
        raise InvalidInputError(
            f"`reward_families` needs one label per reward: expected {rewards.shape[-1]}, got {len(labels)}."
        )
    for reward, label in enumerate(labels):
        if not isinstance(label, (str, int)):
            raise InvalidTypeError(
                f"`reward_families` needs a text or a whole number for each reward, since a reward is of one family: "
                f"got {label!r} for reward {reward}."
            )
    return labels


def check_correlations(correlations: Tensor | None, rewards: Tensor) -> Tensor | None:
    """The correlations as a (K, K) matrix on the device of the rewards; None where there are none."""
    if correlations is None:
        return None
    matrix = _as_tensor(correlations, "correlations", torch.float64).detach()
    shape = (rewards.shape[-1], rewards.shape[-1])
    if matrix.shape != shape or not bool(((matrix.abs() <= 1 + ROUNDING_OF_1) | matrix.isnan()).all()):
        raise InvalidInputError(
            f"`correlations` needs one number in [-1, 1], or NaN, for each pair of rewards: expected shape {shape}, "
            f"got {matrix.tolist()}. `Agreement` computes them."
        )
    return _move(matrix, rewards.device, compute_dtype(rewards.device))


def check_token_counts(token_counts: Tensor | None, whitening: str, rewards: Tensor) -> Tensor | None:
    """The token counts as an (N,) vector, like the weights, where the whitening needs them; else None."""
    if whitening != "tokens":
        return None
    if token_counts is None:
        raise InvalidInputError(
            "`token_counts` is needed for whitening='tokens': pass the completion tokens of each rollout, (N,), or "
            "use whitening='rollouts'."
        )
    counts = _as_tensor(token_counts, "token_counts")
    if counts.is_complex():
        raise InvalidTypeError(f"`token_counts` needs real numbers: got {counts.dtype}.")
    _check_rows(counts, "token_counts", "count", rewards)
    return _move(counts.detach(), rewards.device, compute_dtype(rewards.device))


def check_values(rewards: Tensor, token_counts: Tensor | None = None) -> bool:
    """Whether some reward does not apply (NaN), after a look at all values that makes an accelerator wait only once."""
    dtype = compute_dtype(rewards.device)
    magnitude = rewards.abs()
    extremes = [magnitude.max(), magnitude.nan_to_num_(nan=0.0, posinf=math.inf).max()]
    if token_counts is not None:
        extremes += token_counts.aminmax()
    largest_or_nan, largest, *count_range = torch.stack([value.to(dtype) for value in extremes]).tolist()
    if largest == math.inf:
        place = rewards.isinf().nonzero()[0].tolist()
        raise InvalidInputError(
            f"`rewards` needs finite numbers: row {place[-2]}, reward {place[-1]} is {float(rewards[tuple(place)])}. "
            "Clip it, or write NaN where the reward does not apply."
        )
    if count_range and not 0 <= count_range[0] <= count_range[1] < math.inf:  # NaN fails the comparison
        raise InvalidInputError(
            f"`token_counts` needs finite numbers of at least 0: got some between {count_range[0]:g} and "
            f"{count_range[1]:g}. Count the tokens of each completion, 0 for an empty one."
        )
    return math.isnan(largest_or_nan)


def check_reward_option(
    values: Tensor | Sequence[float] | Sequence[Sequence[float]],
    name: str,
    columns: tuple[str, ...],
    rewards: Tensor,
    weights: Tensor | None,
) -> tuple[Tensor, ...]:
    """One number (or more) per reward: a (K, 1) tensor in the dtype to compute in for each of the columns.

    Args:
        values: (K,) or, for several columns, (K, columns).
        name: of the option.
        columns: what the numbers of a reward are.
        rewards: (N, K).
        weights: (K,) None means all 1. What belongs to a reward of weight 0 comes back as NaN, whatever it was.
    """
    matrix = _as_tensor(values, name, torch.float64).detach()
    shape = (rewards.shape[-1],) if len(columns) == 1 else (rewards.shape[-1], len(columns))
    if matrix.is_complex():
        raise InvalidTypeError(f"`{name}` needs real numbers: got {matrix.dtype}.")
    if matrix.shape != shape:
        raise InvalidInputError(
            f"`{name}` needs {' and '.join(columns)} for every reward: expected shape {shape}, got "
            f"{tuple(matrix.shape)}."
        )
    matrix = _move(matrix, rewards.device, compute_dtype(rewards.device)).reshape(rewards.shape[-1], -1)
    if weights is not None:
        matrix = torch.where(weights[:, None] != 0, matrix, math.nan)
    known = matrix if weights is None else matrix[weights != 0]
    if not known.isfinite().all():
        raise InvalidInputError(
            f"`{name}` needs finite numbers for every reward with a weight: got {_as_tensor(values, name).tolist()}. A "
            "weight of 0 leaves a reward out."
        )
    return matrix.unsqueeze(-1).unbind(1)


def check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    """Raise unless the value is one of the choices."""
    if value not in choices:
        raise InvalidInputError(f"`{name}` must be one of {', '.join(map(repr, choices))}: got {value!r}.")


def check_range(value: float, name: str, low: float, high: float, otherwise: str = "") -> None:
    """Raise unless the value is a finite number between the bounds, both included."""
    if not isinstance(value, Real) or not math.isfinite(value) or not low <= value <= high:
        wanted = f"finite number of at least {low:g}" if high == math.inf else f"number in [{low:g}, {high:g}]"
        raise InvalidInputError(f"`{name}` must be a {wanted}{otherwise}: got {value!r}.")


def check_switch(value: object, name: str) -> None:
    """Raise unless the value is True or False."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"`{name}` must be true or false: got {value!r}.")


def _as_tensor(values: object, name: str, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor itself, or one of the dtype made from numbers."""
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidTypeError(
            f"`{name}` must be a tensor, or numbers that torch.as_tensor takes: got {type(values).__name__} ({error})."
        ) from error


def _check_rows(values: Tensor, name: str, item: str, rewards: Tensor) -> None:
    if values.ndim != 1:
        raise InvalidInputError(f"`{name}` needs one dimension, (rollouts,): got shape {tuple(values.shape)}.")
    if len(values) != rewards.shape[-2]:
        raise InvalidInputError(
            f"`{name}` needs one {item} per rollout: expected {rewards.shape[-2]} (the rows of `rewards`), "
            f"got {len(values)}."
        )


def _move(values: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    # A blocking copy to an accelerator waits for all that is queued there; one to the host has to wait.
    return values.to(device, dtype, non_blocking=device.type != "cpu")
