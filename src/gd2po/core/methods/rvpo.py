"""RVPO: a soft minimum over the rewards in place of their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.correlations import correlation
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.methods.warnings import rewards_where
from gd2po.core.result import AdvantageResult
from gd2po.core.soft_minimum import prior_shares, soft_minimum

OPPOSED_CORRELATION = -0.1
"""Two rewards whose in-group correlation is below this are in opposition."""


def rvpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    kappa: Annotated[float, Range(0, float("inf"))] = 1.0,
    reward_weights: Weights = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """RVPO advantages: the soft minimum of each rollout's rewards, standardised inside the group; then whitened.

    `s = -1/kappa log sum_k p_k exp(-kappa x_k)` over the rewards that apply to the rollout, with
    `x_k = sign(weight_k) z_k`, z_k the reward standardised inside its group, and `p_k = |weight_k|` over their sum.
    Then `A = (s - mean) rsqrt(var + 1e-8)` over the batch. kappa = 0 is the mean; a large kappa the minimum. With one
    reward this is `gdpo`.

    **Rewards in opposition push their whole group down**: two exact opposites get negative s on every rollout. A dead
    reward stays in as 0, which caps praise: z of (1.5, 0) give 0.49 and (-1.5, 0) give -1.01. A reward that does not
    apply is left out, which makes the minimum easier. A lone rollout, and a group of dead rewards, have s = 0.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        kappa: at least 0, how close to the minimum. The authors move it from 0.5 to 2 over training, with 5 to 17
            rewards: pass the value of the step.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` without components; `multipliers` (N, K) are the shares of the rewards,
        `p_k exp(-kappa x_k)` over their sum. Nothing is dropped; reward advantages, conflicts and agreement scores are
        those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, a negative or infinite `kappa`, an unknown choice, or an infinite
            reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> rvpo_advantages(rewards, torch.tensor([7, 7, 7, 7]), whitening="none").advantages
        tensor([-1.0249,  0.0547, -0.4241,  1.0031])

    Source:
        RVPO: Risk-Sensitive Alignment via Variance Regularization (arXiv:2605.05750).

    Deviations:
        Weights and the default of kappa are ours; the paper has p_k = 1/K. It does not say which standard deviation and
        epsilon it means; these are those of `gdpo`.
    """
    check_options(rvpo_advantages, kappa=kappa, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    reward_advantages = batch.standardised()
    minimum, terms = soft_minimum(batch.sign(reward_advantages), prior_shares(batch.weight_sizes), kappa)
    return batch.result(minimum, reward_advantages=reward_advantages, multipliers=batch.rows(prior_shares(terms)))


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    reward_advantages = batch.standardised()
    is_dead = (batch.over_batch(reward_advantages.abs()) == 0)[:, 0]
    sentences = [
        f"rvpo: {name} tells no rollout from another in its group. It stays in the minimum as 0, which caps praise."
        for name in rewards_where(batch, is_dead, reward_names)
    ]
    sentences += [
        f"rvpo: {name} does not apply to some rollouts. It is left out of their minimum, which makes it easier."
        for name in rewards_where(batch, batch.rewards.isnan().any(0), reward_names)
    ]
    correlations = correlation(batch.sign(reward_advantages), batch.applies, REWARD_DIM)
    sentences += [
        f"rvpo: {reward_names[first]} and {reward_names[second]} pull against each other. Their soft minimum pushes "
        "whole groups down; rewards that trade off want a sum, such as gdpo's."
        for first, second in (correlations < OPPOSED_CORRELATION).triu(1).nonzero().tolist()
    ]
    return sentences


RVPO = Method(
    name="rvpo",
    title="a soft minimum over the rewards, each standardised inside its group; then whitened",
    source="RVPO, arXiv:2605.05750",
    function=rvpo_advantages,
    warn=_warnings,
    stackable=True,
)
