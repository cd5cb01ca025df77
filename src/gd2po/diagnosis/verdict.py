"""The verdict: few rules, each a sentence with the numbers it rests on and how sure it is.

docs/diagnosis.md explains every rule and threshold. A rule's sureness is the share of the bootstrap resamples of the
log's groups in which its condition holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gd2po.core import binary_snr_ceiling
from gd2po.diagnosis.estimates import Estimates
from gd2po.diagnosis.model import Explorer, Finding, OverallNumbers, PairKind, RewardNumbers, Source, Verdict
from gd2po.diagnosis.sums import THRESHOLDS, pairs_of
from gd2po.diagnosis.wording import join, percent, signed

LEAST_CONFLICT_RATE = 0.05
"""Conflicts in fewer rollouts are not worth acting on, neither of all rewards nor of a pair."""

LEAST_CANCELLATION = 0.02
"""Nor are conflicts that cost less of the signal than this."""

LEAST_CORRELATION = 0.1
"""In-group correlation above which two rewards agree, and below whose negative they oppose each other."""

SURE_ENOUGH = 0.95
"""Share of the resamples that have to say so before a pair is called agreeing, opposing or unrelated."""

SAME_INFORMATION = 0.99
"""Correlation, of either sign, from which on two rewards are one reward twice."""

DEAD_GROUPS = 0.99
"""A reward that is constant in at least this share of the groups is dead."""

SATURATED_ROLLOUTS = 0.95
"""A reward is saturated if this share of the last quarter's rollouts has its highest value."""

DOMINATING_SHARE = 0.8
"""A reward dominates if this share of the variance of the summed advantage comes from it."""

STARVED_RETAINED = 0.5
"""A filter starves a reward if it keeps less than this share of its signal or of its penalties."""

SAME_AS_HARD = 0.99
"""The SNR filter is the hard filter if it drops this share of the conflicts."""

WRONGLY_DROPPED = 0.01
"""Share of the groups with signal that a sum-based filter drops, from which on it is said."""

FEW_GROUPS = 30
"""With fewer groups that carry signal, every statement is tentative."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at."""

    source: Source
    rewards: Sequence[RewardNumbers]
    overall: OverallNumbers
    explorer: Explorer
    estimates: Estimates
    kinds: Sequence[PairKind]
    """Of the pairs, in the order of `pairs_of`."""
    run_method: str | None

    @property
    def names(self) -> list[str]:
        """Of the rewards."""
        return [reward.name for reward in self.rewards]

    @property
    def active(self) -> list[int]:
        """Rewards that have a weight and apply to something."""
        return [k for k, reward in enumerate(self.rewards) if reward.weight != 0 and reward.applies > 0]


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a log."""
    kind, headline, main = _main(evidence)
    findings = [
        *main,
        *_starved(evidence, kind),
        *_dead(evidence),
        *_saturated(evidence),
        *_dominating(evidence),
        *_same_as_hard(evidence),
        *_wrongly_dropped(evidence),
        *_same_information(evidence),
        *_few_groups(evidence),
    ]
    order = {"act": 0, "good": 1, "watch": 2, "note": 3}
    return Verdict(headline, kind, [*main, *sorted(findings[len(main) :], key=lambda finding: order[finding.level])])


def pair_kinds(estimates: Estimates) -> list[PairKind]:
    """What the in-group correlation of each pair says: noise between rewards that agree, or a trade-off."""
    kinds: list[PairKind] = []
    for correlation in estimates.correlation.T:
        rules: list[tuple[PairKind, np.ndarray]] = [
            ("agree", correlation > LEAST_CORRELATION),
            ("oppose", correlation < -LEAST_CORRELATION),
            ("unrelated", np.abs(correlation) <= LEAST_CORRELATION),
        ]
        sure = [(estimates.sureness(holds) or 0.0, kind) for kind, holds in rules if holds[0]]
        kinds.append(next((kind for share, kind in sure if share >= SURE_ENOUGH), "unclear"))
    return kinds
