"""A softmax policy over the logged rollouts of each group, trained by a method on their rewards.

Shapes: R repeats, P groups, C rollouts of the largest group, G rollouts drawn per group and step, K rewards,
E = steps + 1 places on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.replay.rollouts import Rollouts
from gd2po.worlds.batches import advantages_of_batches
from gd2po.worlds.draws import generator
from gd2po.worlds.policies import logit_gradient, sampled_answers

FEWEST_GROUPS = 1024
"""Groups times repeats are at least as many, so that what a method gains is not its luck with the draws."""

MOST_REPEATS = 32

_BELOW_ONE = 1 - 2**-40
"""A draw is at most this share of the distribution function, whose last sum may be rounded: padding is never drawn."""


@dataclass(frozen=True, eq=False)
class Course:
    """What a policy went through, mean over the repeats."""

    gold: Tensor
    """(E, P) expected gold over the rollouts whose gold is known; NaN in a group without any."""
    kl: Tensor
    """(E,) divergence from the logged policy in nats, mean over groups."""


def repeats_of(rollouts: Rollouts) -> int:
    """How often the learning is repeated: the fewer groups, the more often."""
    return min(MOST_REPEATS, math.ceil(FEWEST_GROUPS / len(rollouts.exists)))


def learn(
    rollouts: Rollouts,
    gold: Tensor,
    setting: Setting,
    learning_rate: float,
    *,
    rewards: Sequence[int],
    reward_weights: Sequence[float],
    reward_families: Sequence[str] | None,
    steps: int,
    group_size: int,
) -> Course:
    """Train the policy of every group, from uniform over its rollouts, by plain policy gradient.

    A step draws `group_size` rollouts of each group from its policy, takes their rewards, calls the method with all
    groups as one batch, and climbs `mean of A (onehot - pi)` by the learning rate. The uniform numbers behind the draws
    are the same for every method and rate.

    Args:
        rollouts: what to learn on.
        gold: (P, C) NaN where it is not known.
        setting: how advantages are computed.
        learning_rate: of plain gradient ascent on the logits.
        rewards: columns of `rollouts.rewards` to learn from.
        reward_weights: one per column.
        reward_families: one per column; None where none are declared.
        steps: updates.
        group_size: G.
    """
    repeats, (num_groups, size) = repeats_of(rollouts), rollouts.exists.shape
    table = rollouts.rewards[..., list(rewards)].reshape(num_groups * size, -1)
    first_row = torch.arange(num_groups)[:, None] * size
    group_ids = torch.arange(num_groups).repeat_interleave(group_size)
    draws = generator(0, "replay")
    logits = torch.where(rollouts.exists, 0.0, -torch.inf).double().repeat(repeats, 1, 1)
    seen = [_state(logits, rollouts.exists, gold)]
    for _ in range(steps):
        probabilities = logits.softmax(-1)
        uniform = torch.rand(repeats, num_groups, group_size, generator=draws, dtype=torch.float64)
        drawn = sampled_answers(probabilities, uniform * _BELOW_ONE)
        batches = table[(first_row + drawn).flatten()].view(repeats, num_groups * group_size, -1)
        advantages = advantages_of_batches(setting, batches, group_ids, reward_weights, reward_families)
        logits += learning_rate * logit_gradient(probabilities, drawn, advantages.double().view(drawn.shape))
        seen.append(_state(logits, rollouts.exists, gold))
    golds, divergences = zip(*seen, strict=True)
    return Course(torch.stack(golds), torch.stack(divergences))


def _state(logits: Tensor, exists: Tensor, gold: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) expected gold and () divergence."""
    log_probabilities = logits.log_softmax(-1)
    probabilities = log_probabilities.exp()
    labelled = probabilities * gold.isfinite()
    expected = (labelled * gold.nan_to_num()).sum(-1) / labelled.sum(-1)
    terms = torch.where(exists, probabilities * log_probabilities, 0.0).nan_to_num()
    divergence = terms.sum(-1) + exists.sum(-1).double().log()
    return expected.mean(0), divergence.mean()
