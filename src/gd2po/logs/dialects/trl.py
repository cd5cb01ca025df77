"""TRL's completions table: one Parquet file per logged step. Written against TRL 1.16.

It marks neither groups nor rewards. Groups are consecutive rows of one prompt, since TRL repeats a prompt row by row.
Rewards are found by the advantage that TRL logs beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gd2po.logs.cells import to_keys, to_numbers
from gd2po.logs.dialects.base import Dialect, Groups, Rewards

SAME_DIRECTION = 0.9999
"""Cosine from which on two vectors of in-group differences are the same up to scale."""


def columns_behind_advantage(head: pa.Table, prompt: str | None, candidates: Sequence[str]) -> Rewards:
    """The candidates whose sum gives the logged advantage, and why they were taken.

    TRL writes the rewards first and what reward functions log beside them after. So the rewards are the first columns
    whose sum (raw, or standardised inside each group) gives the `advantage`, as many of them as possible; all
    candidates if no such sum does.

    Args:
        head: first rows of the table, N of them, with the column `advantage`.
        prompt: column by which consecutive rows form a group; None for TRL's own.
        candidates: columns of numbers, in the table's order.

    Returns:
        The columns and the reason.

    Example:
        >>> head = pa.table({"prompt": ["a", "a"], "x": [1.0, 0.0], "extra": [3.0, 9.0], "advantage": [0.7, -0.7]})
        >>> columns_behind_advantage(head, "prompt", ["x", "extra"]).columns
        ['x']
    """
    keys, _ = to_keys(head.column(prompt or "prompt"))
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.array([], int)
    advantage = to_numbers(head.column("advantage")).values
    if len(keys) and len(candidates):
        values = np.stack([to_numbers(head.column(name)).values for name in candidates], axis=1)
        for count in range(len(candidates), 0, -1):
            if _reproduces(values[:, :count], advantage, starts):
                return _behind(list(candidates[:count]), list(candidates[count:]))
    return Rewards(
        list(candidates),
        f"Rewards are all columns of numbers except the advantage: {', '.join(candidates)}. No sum of them with equal "
        "weights gives the logged advantage, so some may be values that reward functions logged beside their rewards "
        "(`rewards` overrides this).",
    )


def _behind(taken: list[str], rest: list[str]) -> Rewards:
    verb = "contributes" if len(rest) == 1 else "contribute"
    excluded = f" {', '.join(rest)} {verb} nothing to it and {'is' if len(rest) == 1 else 'are'} excluded."
    reason = f"Rewards are {', '.join(taken)}: their sum gives the logged advantage.{excluded if rest else ''}"
    return Rewards(taken, reason)


@np.errstate(over="ignore", invalid="ignore")  # numbers near the largest, of which the reading of the rows complains
def _reproduces(values: NDArray[np.float64], advantage: NDArray[np.float64], starts: NDArray[np.int64]) -> bool:
    """True where the sum of the columns, raw or standardised, points where the advantage does."""
    filled = np.nan_to_num(values)
    wanted = _directions(np.nan_to_num(advantage)[:, None], starts)
    raw = _directions(filled.sum(1, keepdims=True), starts)
    standardised = _directions(filled, starts).sum(1, keepdims=True)
    return _same(wanted, raw) or _same(_centre(np.nan_to_num(advantage)[:, None], starts), standardised)


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return norm > 0 and float((one * other).sum()) / norm > SAME_DIRECTION


def _directions(columns: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """In-group differences, scaled to the same spread in every group; 0 where a group has none."""
    centred, spread = _centre(columns, starts), _spread(columns, starts)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def _centre(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.diff(np.append(starts, len(values)))
    means = np.add.reduceat(values, starts, axis=0) / sizes[:, None]
    return values - np.repeat(means, sizes, axis=0)


def _spread(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.diff(np.append(starts, len(values)))
    squares = np.add.reduceat(_centre(values, starts) ** 2, starts, axis=0)
    spread = np.sqrt(squares)
    spread[spread < 1e-9 * (1 + np.abs(np.add.reduceat(values, starts, axis=0)))] = 0
    return np.repeat(spread, sizes, axis=0)


DIALECT = Dialect(
    name="trl",
    title="TRL's completions table",
    recognises=lambda columns: {"step", "prompt", "completion", "advantage"} <= columns,
    step="step",
    prompt="prompt",
    completion="completion",
    find_groups=lambda head, prompt: Groups("runs", prompt),
    find_rewards=columns_behind_advantage,
    folders=("completions",),
    tracked_as="completions",
    how_to_log="TRL with log_completions=True",
    whole_groups_per_file=True,
    repeats_batches=True,  # a generation batch is logged at every step that trains on it
)
