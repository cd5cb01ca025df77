"""Families: rewards that measure the same thing. Inside one a conflict is somebody's error, between two a trade-off."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch
from gd2po.core.conflicts import agreement_snr, conflict_mask
from gd2po.core.correlations import correlation
from gd2po.core.groups import REWARD_DIM, lanes_of, put_lanes
from gd2po.core.soft_minimum import prior_shares, soft_minimum
from gd2po.core.tolerances import CORRELATION_TOLERANCE
from gd2po.errors import ConfigError, did_you_mean

Standardisation = Literal["zscore", "rank", "rank_partners"]
"""Of scores inside a group: z-scores, ranks, or ranks where the reward has a partner."""

Combination = Literal["mean", "soft_minimum", "minimum", "uncertainty"]
"""What the rewards of a family amount to."""


def family_labels(families: Any, reward_names: Sequence[str], where: str) -> list[str] | None:
    """The family of each reward from families by name of the reward; a reward not named is a family of its own.

    Args:
        families: family by reward; None: nothing is known.
        reward_names: K names.
        where: what the mapping is called in a configuration, for messages.

    Raises:
        ConfigError: something else, a reward that does not exist, or a family with the name of a reward outside it.

    Example:
        >>> family_labels({"judge": "correct", "rubric": "correct"}, ["judge", "rubric", "brief"], "reward_families")
        ['correct', 'correct', 'brief']
    """
    if families is None:
        return None
    if not isinstance(families, Mapping):
        raise ConfigError(
            f"`{where}` must be a mapping from rewards to families, such as {{judge_a: correct, judge_b: correct}}: "
            f"got {families!r}."
        )
    for reward, family in families.items():
        if reward not in reward_names:
            raise ConfigError(
                f"`{where}` names a reward {reward!r} that does not exist. {did_you_mean(str(reward), reward_names)}"
            )
        if not isinstance(family, str):
            raise ConfigError(
                f"`{where}` must name one family for each reward, since a reward is of one family: got {family!r} for "
                f"{reward!r}."
            )
    for name in reward_names:
        if name not in families and name in families.values():
            raise ConfigError(
                f"`{where}` has a family {name!r}, and a reward of that name that is not in it: name the reward too, "
                "or give the family another name."
            )
    return [families.get(name, name) for name in reward_names]


def family_members(families: Sequence[Hashable]) -> list[list[int]]:
    """The rewards of each family, in order of appearance.

    Example:
        >>> family_members(["correct", "brief", "correct"])
        [[0, 2], [1]]
    """
    members: dict[Hashable, list[int]] = {}
    for reward, family in enumerate(families):
        members.setdefault(family, []).append(reward)
    return list(members.values())


def family_pairs(families: Sequence[Hashable]) -> Tensor:
    """(K, K) bool: two different rewards are of one family.

    Example:
        >>> family_pairs(["correct", "brief", "correct"]).int()
        tensor([[0, 0, 1],
                [0, 0, 0],
                [1, 0, 0]], dtype=torch.int32)
    """
    rewards = range(len(families))
    return torch.tensor([[j != k and families[j] == families[k] for k in rewards] for j in rewards])


def has_partners(families: Sequence[Hashable]) -> bool:
    """Whether two rewards are of one family.

    Example:
        >>> has_partners(["correct", "brief"])
        False
    """
    return len(set(families)) < len(families)


def correlated_pairs(batch: RewardBatch, zscores: Tensor, min_correlation: float) -> Tensor:
    """(K, K) bool, of a stack (S, K, K): the in-group correlation of two rewards is above the minimum beyond rounding.

    Args:
        batch: whose `correlations` are taken, or without them those of its z-scores.
        zscores: its `standardised`.
        min_correlation: in [-1, 1].
    """
    found = batch.correlations
    if found is None:
        lanes = [batch.weigh(zscores)] if batch.applies is None else [batch.weigh(zscores), batch.applies]
        found = batch.of_each_batch(partial(correlation, dim=REWARD_DIM), *lanes)
    # NaN, for a reward without signal, is not above anything.
    pairs = found > min_correlation + CORRELATION_TOLERANCE
    return pairs & ~torch.eye(batch.num_rewards, dtype=torch.bool, device=pairs.device)


def joined_families(pairs: Tensor) -> list[int]:
    """K labels: rewards that a chain of pairs joins are of one family, which is called by its first reward.

    Args:
        pairs: (K, K) bool, symmetric; fetched from an accelerator.

    Example:
        >>> joined_families(torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]).bool())
        [0, 1, 0, 0]
    """
    assert pairs.ndim == 2, "each batch of a stack has families of its own: give it `correlations`"
    rows = pairs.tolist()
    labels = list(range(len(rows)))
    for reward, row in enumerate(rows):
        for other, is_pair in enumerate(row):
            if is_pair and labels[other] != labels[reward]:
                first, second = sorted((labels[reward], labels[other]))
                labels = [first if label == second else label for label in labels]
    return labels


def partly_ranked(
    batch: RewardBatch, zscores: Tensor, pairs: Tensor, standardisation: Standardisation, scale_rewards: bool = True
) -> Tensor:
    """Lanes: the reward advantages of a batch, as z-scores or by ranks.

    Args:
        batch: the rewards.
        zscores: its `standardised`.
        pairs: (K, K) bool, which rewards are partners.
        standardisation: "zscore", "rank" of every reward, or "rank_partners" of those with a partner that has a weight.
        scale_rewards: divide by the standard deviation of the group.
    """
    if standardisation == "zscore":
        return zscores
    rewards = list(range(batch.num_rewards))
    if standardisation == "rank_partners":
        voting = pairs if batch.weights is None else pairs & (batch.weights[:, 0] != 0).to(pairs.device)
        rewards = [reward for reward, has_one in enumerate(voting.any(1).tolist()) if has_one]
    if not rewards:
        return zscores
    ranks = batch.standardised_ranks(rewards, scale_rewards)
    if len(rewards) == batch.num_rewards:
        return ranks
    mixed = zscores.clone()
    put_lanes(mixed, rewards, ranks)
    return mixed


def family_conflict_mask(weighted: Tensor, families: Sequence[Hashable]) -> Tensor:
    """Lanes without rewards, bool: two rewards of one family have opposite signs.

    Args:
        weighted: lanes of weighted reward advantages y.
        families: K labels.
    """
    conflicts = torch.zeros_like(weighted[..., 0, :], dtype=torch.bool)
    for members in family_members(families):
        if len(members) > 1:
            conflicts |= conflict_mask(lanes_of(weighted, members), REWARD_DIM)
    return conflicts


def family_agreement_snr(weighted: Tensor, families: Sequence[Hashable], snr_eps: float) -> Tensor:
    """Lanes without rewards: the least agreement score of a family, each taken over its own rewards alone.

    Args:
        weighted: lanes of weighted reward advantages y.
        families: K labels.
        snr_eps: as of `agreement_snr`.
    """
    scores = [
        agreement_snr(lanes_of(weighted, members), snr_eps, REWARD_DIM)
        for members in family_members(families)
        if len(members) > 1
    ]
    return torch.stack(scores).amin(0) if scores else torch.ones_like(weighted[..., 0, :])


def combined(values: Tensor, sizes: Tensor, combination: Combination, kappa: float) -> Tensor:
    """Lanes without rewards: what the rewards of a family amount to, with shares `p` in proportion to their sizes.

    minimum: the least x_k; soft_minimum: `-1/kappa log sum_k p_k exp(-kappa x_k)`; mean: `sum_k p_k x_k`;
    uncertainty: `mean - kappa/2 sum_k p_k (x_k - mean)²`, which the soft minimum is to second order.

    Args:
        values: lanes of the family's rewards x, each pointing upwards.
        sizes: lanes or (K, 1), at least 0; 0 where a reward takes no part.
        combination: one of the four.
        kappa: at least 0.

    Returns:
        0 where no reward takes part.

    Source:
        Mean, worst case and uncertainty: Reward Model Ensembles Help Mitigate Overoptimization (arXiv:2310.02743),
        whose lambda is kappa/2. Soft minimum: RVPO (arXiv:2605.05750).
    """
    shares = prior_shares(sizes)
    if combination == "minimum":
        least = values.masked_fill(shares == 0, torch.inf).amin(REWARD_DIM)
        return least.masked_fill_(least == torch.inf, 0)
    if combination == "soft_minimum":
        return soft_minimum(values, shares, kappa)[0]
    mean = (shares * values).sum(REWARD_DIM)
    if combination == "mean":
        return mean
    variance = (shares * (values - mean.unsqueeze(REWARD_DIM)).square()).sum(REWARD_DIM)
    return mean - kappa / 2 * variance
