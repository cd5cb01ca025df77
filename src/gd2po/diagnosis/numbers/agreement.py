"""Whether two rewards agree alike in all groups, or in some and not in others: more than chance allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gd2po.diagnosis.verdict.limits import UNEVEN_AGREEMENT

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SIMULATIONS = 199
MOST_GROUPS = 500
"""Groups that are looked at, evenly spaced."""

_APART = 1e3
"""Added per group, so that one sort orders rollouts by group and then by score; no rank or normal number reaches it."""

_TIE = 1e-4
"""What chance may add to ties, far less than a step of ranks: standardised, and of groups up to thousands."""

_ROUNDS = 4
"""In which the correlation to simulate with is fitted."""


def uneven_agreement(first: Floats, second: Floats, group_ids: Indices) -> tuple[float | None, float | None]:
    """How much the correlation differs between groups beyond chance, and how rarely chance does that.

    Chance is simulated: normal numbers with one correlation in all groups, the same on average as in the log, say in
    which order the scores of the second reward are given out inside each group. So ties and group sizes stay.

    Args:
        first: (N,) ranks of a reward inside its groups, centred.
        second: (N,) of another.
        group_ids: (N,) rising.

    Returns:
        Standard deviation of the groups' correlations beyond that of chance, and the share of the simulated logs with
        a smaller one; None where fewer than two groups have a correlation.

    Example:
        >>> ranks = np.tile(np.arange(8) - 3.5, 200)
        >>> other = np.where(np.arange(1600) < 800, ranks, -ranks)  # agree in half of the groups, oppose in the others
        >>> spread, sure = uneven_agreement(ranks, other, np.arange(1600) // 8)
        >>> round(spread, 1), sure
        (0.9, 1.0)
    """
    groups, starts, first, second, power = _usable(first, second, group_ids)
    if len(starts) < 2:
        return None, None
    random = np.random.default_rng(0)
    apart = groups * _APART
    given_out = second[np.argsort(apart + second)]
    products = np.add.reduceat(first * second, starts)
    observed = products / power

    def simulated(latent: float) -> Floats:
        """The groups' correlations of one simulated log."""
        drawn = random.normal(size=len(first))
        scores = np.empty_like(drawn)
        # The i-th smallest number of a group goes to its i-th rollout; ties in the order of chance.
        ties = _TIE * random.random(len(first))
        scores[np.argsort(apart + first + ties)] = drawn[np.argsort(apart + drawn)]
        other = latent * scores + np.sqrt(1 - latent**2) * random.normal(size=len(first))
        values = np.empty_like(other)
        values[np.argsort(apart + other)] = given_out
        return np.asarray(np.add.reduceat(first * values, starts) / power)

    target = float(observed.mean())
    latent = float(np.clip(2 * np.sin(np.pi / 6 * target), -0.999, 0.999))
    for _ in range(_ROUNDS):
        reached = float(np.mean([simulated(latent).mean() for _ in range(4)]))
        latent = float(np.clip(latent + target - reached, -0.999, 0.999))
    by_chance = np.array([simulated(latent).var() for _ in range(SIMULATIONS)])
    beyond = max(0.0, float(observed.var() - by_chance.mean()))
    return float(np.sqrt(beyond)), float((by_chance < observed.var()).mean())


def may_be_uneven(first: Floats, second: Floats, group_ids: Indices) -> bool:
    """Whether the correlations of unrelated rewards differ more than permutations say, by enough to speak of.

    Inside a group of n the correlation of a random order has the variance 1 / (n - 1), ties or not.

    Args:
        first: as of `uneven_agreement`.
        second: likewise.
        group_ids: likewise.
    """
    _, starts, first, second, power = _usable(first, second, group_ids)
    if len(starts) < 2:
        return False
    sizes = np.diff(np.append(starts, len(first)))
    observed = np.add.reduceat(first * second, starts) / power
    return bool(observed.var() - (1 / (sizes - 1)).mean() > UNEVEN_AGREEMENT**2)


def _usable(first: Floats, second: Floats, group_ids: Indices) -> tuple[Indices, Indices, Floats, Floats, Floats]:
    """Groups in which both rewards vary, evenly spaced: numbers and first rows of the groups, ranks, root of powers."""
    empty = np.empty(0, dtype=np.int64)
    if not len(group_ids):
        return empty, empty, first, second, first
    _, starts, groups = np.unique(group_ids, return_index=True, return_inverse=True)
    power = np.sqrt(np.add.reduceat(first**2, starts) * np.add.reduceat(second**2, starts))
    usable = np.flatnonzero(power > 0)
    usable = usable[:: max(1, -(-len(usable) // MOST_GROUPS))]
    rows = np.isin(groups, usable)
    _, starts, groups = np.unique(groups[rows], return_index=True, return_inverse=True)
    return groups, starts, first[rows], second[rows], power[usable]
