"""SAW: rewards weighed by their coefficient of variation over the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero, rewards_where
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import VARIATION_EPS
from gd2po.errors import InvalidInputError

Mode = Literal["gdpo", "grpo"]


def saw_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_minima: Tensor | Sequence[float],
    mode: Mode = "gdpo",
    reward_weights: Weights = None,
    whitening: Whitening | None = None,
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """SAW advantages: those of GDPO or GRPO, the rewards weighed by their coefficient of variation over the batch.

    Over the rollouts of the batch to which reward k applies, `CV_k = std(r_k) / (mean(r_k - min_k) + 1e-8)`, 0 for
    fewer than two and for a reward that is stuck at one value. `omega_k = K CV_k / (sum_l CV_l + 1e-8)`, K the rewards
    with a weight; all CV 0: omega = 1. Then

    * mode "gdpo": `s = sum_k omega_k weight_k z_k`, z_k the reward standardised inside its group, whitened.
    * mode "grpo": `grpo` with the weights `omega_k weight_k`. A reward that does not apply counts as 0 in the sum,
      which is the best score of a reward in [-3, 0].

    **A reward stuck at one value, the worst included, gets omega 0, and moving a minimum moves all omegas.** A lone
    rollout, and a group of dead rewards, get 0 before whitening. Pass the whole batch of an update, for CV is taken
    over it.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_minima: (K,) the least score that each reward can give by its definition, not the least one seen. What
            stands for a reward of weight 0 does not matter.
        mode: "gdpo" or "grpo": what is done with the weights found.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is an error, since it
            would need the largest score: negate the reward instead.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
            None: "rollouts" in mode "gdpo", "none" in mode "grpo".
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are the summands, None in mode "grpo"; `multipliers` (K,) is omega, 0 for
        a reward of weight 0. Nothing is dropped; reward advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, a negative weight, minima of another shape or not finite, a score
            below its minimum (row and reward named), an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> result = saw_advantages(rewards, torch.tensor([7, 7, 7, 7]), reward_minima=[-3, 0], whitening="none")
        >>> result.advantages, result.multipliers
        (tensor([-1.9848,  0.6616, -0.6616,  1.9848]), tensor([0.8541, 1.1459]))

    Source:
        SAW: stage-aware dynamic weighting (arXiv:2606.07705); the epsilons are those of its code.

    Deviations:
        Weights are ours. Where all CV are 0 the paper's omega is 1, the code's 0, with the same advantages. The code
        whitens by tokens; here that is `whitening="tokens"`.
    """
    check_options(saw_advantages, mode=mode, whitening=whitening)
    batch = RewardBatch.from_input(
        rewards,
        group_ids,
        reward_weights,
        whitening=whitening or ("rollouts" if mode == "gdpo" else "none"),
        token_counts=token_counts,
    )
    omega = _variation_weights(batch, _checked_minima(batch, reward_minima))
    reward_advantages = batch.standardised()
    if mode == "grpo":
        total = batch.standardised_total(scale_rewards=True, weights=batch.weigh(omega))
        return batch.result(total, reward_advantages=reward_advantages, multipliers=omega.squeeze(-1))
    components = reward_advantages * batch.weigh(omega)
    return batch.result(
        components.sum(REWARD_DIM),
        reward_advantages=reward_advantages,
        components=components,
        multipliers=omega.squeeze(-1),
    )


def _checked_minima(batch: RewardBatch, reward_minima: Tensor | Sequence[float]) -> Tensor:
    """(K, 1), NaN for a reward of weight 0."""
    weights = None if batch.weights is None else batch.weights[:, 0]
    if weights is not None and (weights < 0).any():
        raise InvalidInputError(
            f"`reward_weights` must be at least 0 for saw: got {weights.tolist()}. It knows the least score of a "
            "reward and not the largest: negate the reward and give the minimum of that."
        )
    (minima,) = checks.check_reward_option(reward_minima, "reward_minima", ("the least score",), batch.rewards, weights)
    batch.check_scores(minima, "reward_minima", "least")
    return minima


def _variation_weights(batch: RewardBatch, minima: Tensor) -> Tensor:
    """(K, 1), of a stack (S, K, 1): omega; 0 for a reward of weight 0."""
    scores = torch.maximum(batch.lanes.to(batch.dtype), minima)
    excess = scores - minima
    if batch.applies is not None:
        scores, excess = scores * batch.applies, excess * batch.applies
    mean_excess = batch.over_batch(excess) / batch.count.clamp_min(1)
    deviations = batch.deviations_over_batch(scores)
    std = (deviations.std() * deviations.largest).squeeze(0)
    variation = batch.where_weighted(std / (mean_excess + VARIATION_EPS))
    total = variation.sum(REWARD_DIM, keepdim=True)
    num_rewards = batch.num_rewards if batch.weights is None else (batch.weights != 0).sum()
    omega = torch.where(total > 0, num_rewards * variation / (total + VARIATION_EPS), 1.0)
    return batch.where_weighted(omega)


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    scores = batch.rewards.nan_to_num(nan=-torch.inf).amax(0), batch.rewards.nan_to_num(nan=torch.inf).amin(0)
    sentences = [
        f"saw: {name} is stuck at one value and gets no weight, be it the best or the worst."
        for name in rewards_where(batch, scores[0] <= scores[1], reward_names)
    ]
    sentences.append("saw: each of `reward_minima` sets the weights of all rewards; give the minima by definition.")
    return sentences + (missing_counts_as_zero(batch, options, reward_names) if options["mode"] == "grpo" else [])


SAW = Method(
    name="saw",
    title="gdpo or grpo, the rewards weighed by their coefficient of variation over the batch",
    source="SAW, arXiv:2606.07705",
    function=saw_advantages,
    stackable=True,
    variants={"grpo": {"mode": "grpo"}},
    warn=_warnings,
)
