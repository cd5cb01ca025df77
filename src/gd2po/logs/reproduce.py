"""TRL's completions table does not mark which columns are rewards. The advantage it logs beside them tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gd2po.logs.cells import to_keys, to_numbers

SAME_DIRECTION = 0.9999
"""Cosine from which on two vectors of in-group differences count as the same up to scale."""


def columns_behind_advantage(head: pa.Table, candidates: Sequence[str], prompt: str) -> tuple[list[str], str]:
    """The candidates whose sum gives the logged advantage, and why they were taken.

    TRL writes its rewards first and what reward functions log beside them after. So the first so many columns whose
    sum (raw, or standardised inside each group) gives the `advantage` are the rewards; all candidates if none do.

    Args:
        head: first rows of the table, with the column `advantage`.
        candidates: columns of numbers, in the table's order.
        prompt: column by which consecutive rows form a group.

    Example:
        >>> head = pa.table({"prompt": ["a", "a"], "x": [1.0, 0.0], "extra": [3.0, 9.0], "advantage": [0.7, -0.7]})
        >>> columns_behind_advantage(head, ["x", "extra"], "prompt")[0]
        ['x']
    """
    keys, _ = to_keys(head.column(prompt))
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.array([], int)
    advantage = to_numbers(head.column("advantage")).values
    if len(keys) and len(candidates):
        values = np.stack([to_numbers(head.column(name)).values for name in candidates], axis=1)
        for count in range(len(candidates), 0, -1):
            if _reproduces(values[:, :count], advantage, starts):
                taken = list(candidates[:count])
                rest = ", ".join(candidates[count:])
                left_out = f" {rest} adds nothing to it and is left out as logged beside them." if rest else ""
                return taken, f"Rewards are {', '.join(taken)}: together they give the logged advantage.{left_out}"
    return (
        list(candidates),
        f"Rewards are all columns of numbers but the advantage: {', '.join(candidates)}. No sum of them with equal "
        "weights gives the logged advantage, so what reward functions logged beside them may be among them (--rewards "
        "chooses).",
    )


def _reproduces(values: NDArray[np.float64], advantage: NDArray[np.float64], starts: NDArray[np.int64]) -> bool:
    filled = np.nan_to_num(values)
    wanted = _directions(np.nan_to_num(advantage)[:, None], starts)
    raw = _directions(filled.sum(1, keepdims=True), starts)
    centred, spread = _centre(filled, starts), _spread(filled, starts)
    standardised = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0).sum(1, keepdims=True)
    return _same(wanted, raw) or _same(_centre(np.nan_to_num(advantage)[:, None], starts), standardised)


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return norm > 0 and float((one * other).sum()) / norm > SAME_DIRECTION


def _directions(column: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """In-group differences, scaled to the same spread in every group."""
    centred, spread = _centre(column, starts), _spread(column, starts)
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
