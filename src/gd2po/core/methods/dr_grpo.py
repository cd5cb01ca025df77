"""Dr. GRPO: the sum of the rewards, centred inside each group."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero
from gd2po.core.result import AdvantageResult


def dr_grpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """Dr. GRPO advantages: the weighted sum of the rewards minus its mean in the group.

    `s = sum_k weight_k r_k` over the rewards that apply, then `A = s - mean`: `grpo` with `scale_rewards=False`. A
    group counts by its spread, and the reward with the largest spread rules. A lone rollout, and a group whose sum is
    constant, get 0 before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` without components and multipliers. Nothing is dropped; reward advantages, conflicts and
        agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> dr_grpo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-3.5000, -0.5000,  0.5000,  3.5000])

    Source:
        Dr. GRPO (Understanding R1-Zero-Like Training, arXiv:2503.20783): its advantage. Its other change, a loss
        without the length of the completion, is the trainer's.

    Deviations:
        `whitening` is ours, to compare methods on equal footing. A reward that does not apply counts as 0 in the sum,
        which is the best score of a reward in [-3, 0].
    """
    check_options(dr_grpo_advantages, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    return batch.result(batch.standardised_total(scale_rewards=False), reward_advantages=batch.standardised())


DR_GRPO = Method(
    name="dr_grpo",
    title="the weighted sum of the rewards minus its mean in the group",
    source="Dr. GRPO, arXiv:2503.20783",
    function=dr_grpo_advantages,
    warn=missing_counts_as_zero,
    stackable=True,
)
