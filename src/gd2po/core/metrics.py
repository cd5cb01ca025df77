"""The metrics that hosts log: one row for each thing a batch can tell, with what it means and when to worry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gd2po.core.statistics import STATISTICS, BatchDiagnostics, pair_indices
from gd2po.errors import InvalidInputError

PREFIX = "conflict"


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`."""

    name: str
    """After the prefix and before the reward or pair."""
    statistic: str
    """In `STATISTICS`, which says per what it is and how it is computed."""
    meaning: str
    worry: str
    """When it looks bad, and what to do; empty where nothing is bad."""


METRICS = (
    Metric(
        "rate",
        "conflict_rate",
        "share of rollouts on which some reward is above its group's mean and another below",
        "high is normal for independent rewards; compare `correlation`",
    ),
    Metric(
        "filtered_rate",
        "filtered_rate",
        "share of rollouts that were dropped",
        "above a half: the batch is smaller than the one you pay for; lower `snr_threshold`",
    ),
    Metric("keep_ratio_mean", "keep_ratio_mean", "mean over rollouts of the share of their group that was kept", ""),
    Metric("snr_mean", "snr_mean", "mean agreement score", "near 0: rewards cancel each other"),
    Metric(
        "cancellation",
        "cancellation",
        "share of the signal lost by adding the rewards up, `1 - sum abs(s) / sum abs(y)`",
        "high: the sum hides most of what the rewards say",
    ),
    Metric(
        "zero_signal_group_rate",
        "zero_signal_group_rate",
        "share of groups in which no reward tells rollouts apart",
        "high: prompts too easy or too hard, or temperature too low",
    ),
    Metric(
        "cancelled_group_rate",
        "cancelled_group_rate",
        "share of groups in which some reward varies and the method leaves no signal",
        "high: rewards cancel exactly, or the filter drops whole groups",
    ),
    Metric(
        "retained",
        "retained",
        "share of the reward's signal, `sum abs(y)`, that is kept",
        "**the one to watch.** Low: the reward has little say; lower the threshold, or set it to `auto`",
    ),
    Metric(
        "retained_negative",
        "retained_negative",
        "the same for its penalties alone",
        "low: failures go unpunished, and the reward may collapse",
    ),
    Metric(
        "alignment",
        "alignment",
        "mean of the reward's advantage times the final advantage",
        "negative: the update works against the reward. Flatters every filter; read it beside `retained`",
    ),
    Metric(
        "correlation",
        "correlation",
        "in-group correlation of two rewards",
        "negative: a trade-off that filtering hides; settle it with `reward_weights`",
    ),
    Metric(
        "pair_rate",
        "pairwise_conflict_rate",
        "share of rollouts on which the two rewards have opposite signs",
        "shows which rewards conflict",
    ),
)
"""Every metric, those of the batch first, then per reward, then per pair of rewards."""


def batch_metrics(diagnostics: BatchDiagnostics, reward_names: Sequence[str]) -> dict[str, float]:
    """The diagnostics of a batch as named numbers, fetched from the device in one go.

    Args:
        diagnostics: of one batch, K rewards.
        reward_names: K names.

    Returns:
        A number per row of `METRICS`: `conflict/<metric>`, for each reward `conflict/<metric>/<reward>`, for each pair
        `conflict/<metric>/<reward>/<reward>`. NaN where undefined.

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
    first, second = pair_indices(num_rewards).unbind()
    suffixes = {
        "batch": [""],
        "reward": [f"/{reward}" for reward in reward_names],
        "pair": [f"/{reward_names[j]}/{reward_names[k]}" for j, k in zip(first, second, strict=True)],
    }
    names, values = [], []
    for metric in METRICS:
        value, per = getattr(diagnostics, metric.statistic), STATISTICS[metric.statistic].per
        if per == "pair":
            value = value[first.to(value.device), second.to(value.device)]
        names += [f"{PREFIX}/{metric.name}{suffix}" for suffix in suffixes[per]]
        values.append(value.reshape(-1))
    return dict(zip(names, torch.cat(values).tolist(), strict=True))
