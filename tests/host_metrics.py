"""What every host logs of a batch and has to be told, for the tests of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from gd2po.core import METHODS
from gd2po.core.metrics import METRICS, PREFIX
from gd2po.core.statistics import STATISTICS


def metric_names(reward_names: Sequence[str]) -> set[str]:
    """The rows of METRICS for these rewards, and threshold and weights as used."""
    suffixes = {
        "batch": [""],
        "reward": [f"/{name}" for name in reward_names],
        "pair": [f"/{first}/{second}" for first, second in combinations(reward_names, 2)],
    }
    rows = {f"{PREFIX}/{row.name}{suffix}" for row in METRICS for suffix in suffixes[STATISTICS[row.statistic].per]}
    return rows | {f"{PREFIX}/snr_threshold"} | {f"{PREFIX}/weight/{name}" for name in reward_names}


def needed_options(method: str, num_rewards: int) -> dict[str, Any]:
    """Options that a method cannot do without, for rewards in [-9, 9]."""
    values = {"reward_minima": [-9.0] * num_rewards, "reward_bounds": [[-9.0, 9.0]] * num_rewards}
    return {name: values[name] for name in METHODS[method].needs}
