"""The metrics that trainers log: one name and one number for each thing a batch can tell."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gd2po.core.statistics import BatchDiagnostics
from gd2po.errors import InvalidInputError

PREFIX = "conflict"


def batch_metrics(diagnostics: BatchDiagnostics, reward_names: Sequence[str]) -> dict[str, float]:
    """The diagnostics of a batch as named numbers, fetched from the device in one go.

    Args:
        diagnostics: of one batch, K rewards.
        reward_names: K names.

    Returns:
        `conflict/rate`, `conflict/filtered_rate`, `conflict/keep_ratio_mean`, `conflict/snr_mean`,
        `conflict/cancellation`, `conflict/zero_signal_group_rate`; for each reward `conflict/retained/<reward>`,
        `conflict/retained_negative/<reward>`, `conflict/alignment/<reward>`; for each pair
        `conflict/correlation/<reward>/<reward>` and `conflict/pair_rate/<reward>/<reward>`. NaN where undefined.

    Raises:
        InvalidInputError: not one name of its own for every reward (a ValueError).

    Example:
        >>> from gd2po import diagnose_batch, gd2po_advantages
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> group_ids = torch.zeros(4, dtype=torch.int64)
        >>> diagnostics = diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids))
        >>> metrics = batch_metrics(diagnostics, ["correctness", "format"])
        >>> metrics["conflict/rate"], metrics["conflict/retained/format"]
        (0.5, 0.5)
    """
    num_rewards = len(diagnostics.retained)
    if len(reward_names) != num_rewards:
        raise InvalidInputError(
            f"`reward_names` needs one name per reward: expected {num_rewards}, got {len(reward_names)}."
        )
    if len(set(reward_names)) != num_rewards:
        raise InvalidInputError(f"`reward_names` must be different from each other: got {list(reward_names)}.")
    scalars = {
        "rate": diagnostics.conflict_rate,
        "filtered_rate": diagnostics.filtered_rate,
        "keep_ratio_mean": diagnostics.keep_ratio_mean,
        "snr_mean": diagnostics.snr_mean,
        "cancellation": diagnostics.cancellation,
        "zero_signal_group_rate": diagnostics.zero_signal_group_rate,
    }
    per_reward = {
        "retained": diagnostics.retained,
        "retained_negative": diagnostics.retained_negative,
        "alignment": diagnostics.alignment,
    }
    per_pair = {"correlation": diagnostics.correlation, "pair_rate": diagnostics.pairwise_conflict_rate}
    pairs = torch.combinations(torch.arange(len(reward_names))).tolist()

    names = list(scalars)
    names += [f"{name}/{reward}" for name in per_reward for reward in reward_names]
    names += [f"{name}/{reward_names[j]}/{reward_names[k]}" for name in per_pair for j, k in pairs]
    rows, columns = torch.triu_indices(len(reward_names), len(reward_names), offset=1).unbind()
    values = torch.cat(
        [
            torch.stack(list(scalars.values())),
            *per_reward.values(),
            *(matrix[rows.to(matrix.device), columns.to(matrix.device)] for matrix in per_pair.values()),
        ]
    )
    return {f"{PREFIX}/{name}": value for name, value in zip(names, values.tolist(), strict=True)}
