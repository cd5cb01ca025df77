"""What every host logs of a batch, for the tests of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from gd2po.core.metrics import METRICS, PREFIX
from gd2po.core.statistics import STATISTICS


def metric_names(reward_names: Sequence[str]) -> set[str]:
    """The rows of METRICS for these rewards, and the threshold as used."""
    suffixes = {
        "batch": [""],
        "reward": [f"/{name}" for name in reward_names],
        "pair": [f"/{first}/{second}" for first, second in combinations(reward_names, 2)],
    }
    rows = {f"{PREFIX}/{row.name}{suffix}" for row in METRICS for suffix in suffixes[STATISTICS[row.statistic].per]}
    return rows | {f"{PREFIX}/snr_threshold"}
