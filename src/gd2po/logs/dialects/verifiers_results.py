"""Results of `vf-eval` of verifiers 0.1 to 0.3: `results.jsonl`, one rollout per line.

What each reward function gave stands under its name, also of those with the weight 0, which only measure. The weights
are not written; they are found by the total.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from gd2po.logs.cells import to_numbers
from gd2po.logs.dialects.base import Dialect, Rewards

TOTAL = "reward"
_SAME = 1e-6
"""Largest difference between the total and the weighted sum, and smallest weight that counts."""


def columns_behind_total(head: pa.Table, prompt: str | None, candidates: Sequence[str]) -> Rewards | None:
    """The candidates that have a weight in the logged total, and why they were taken.

    Args:
        head: first rows of the table, with the column `reward`.
        prompt: not needed.
        candidates: columns of numbers, in the table's order.

    Returns:
        The columns and the reason; None where no weights give the total, as where a column is a sum of others.

    Example:
        >>> head = pa.table({"a": [1.0, 0.0, 1.0], "b": [0.0, 0.5, 0.5], "turns": [1, 1, 3], "reward": [1.0, 0.1, 1.1]})
        >>> columns_behind_total(head, None, ["a", "b", "turns"]).columns
        ['a', 'b']
    """
    names = [name for name in candidates if name != TOTAL]
    if not names:
        return None
    values = np.nan_to_num(np.stack([to_numbers(head.column(name)).values for name in names], axis=1))
    total = np.nan_to_num(to_numbers(head.column(TOTAL)).values)
    if np.linalg.matrix_rank(values) < len(names):
        return None
    weights = np.linalg.lstsq(values, total, rcond=None)[0]
    counts = np.abs(weights) > _SAME
    if not counts.any() or np.abs(values @ weights - total).max() > _SAME * (1 + np.abs(total).max()):
        return None
    taken = [name for name, count in zip(names, counts, strict=True) if count]
    shown = ",".join(f"{name}={weight:.4g}" for name, weight in zip(taken, weights[counts], strict=True))
    return Rewards(
        taken,
        f"Rewards are {', '.join(taken)}, which give the logged total with the weights {shown} (`reward_weights` takes "
        "them). Other numbers have no weight in it.",
    )


DIALECT = Dialect(
    name="verifiers_results",
    title="results of vf-eval of verifiers",
    recognises=lambda columns: {"example_id", "prompt", "completion", TOTAL} <= columns,
    group="example_id",
    prompt="prompt",
    completion="completion",
    not_rewards=frozenset({"is_completed", "is_truncated", "generation_ms", "scoring_ms", "total_ms", "num_turns"}),
    find_rewards=columns_behind_total,
    scatters_groups=True,  # rollouts are written as they end
)
