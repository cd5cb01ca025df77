"""In-group correlation of rewards."""

from __future__ import annotations

import torch
from torch import Tensor


def correlation(reward_advantages: Tensor, applies: Tensor | None = None, dim: int = -1) -> Tensor:
    """In-group correlation of each pair of rewards: mean of `z_j z_k` over the product of their root mean squares.

    Only rollouts to which both rewards apply count. The advantages have mean 0 in every group already.

    Args:
        reward_advantages: z, (N, K) or any shape with the rewards in `dim`; 0 where a reward does not apply.
        applies: the shape of `reward_advantages`, bool; None if every reward applies to every rollout.
        dim: dimension of the rewards.

    Returns:
        (K, K) in [-1, 1], symmetric; NaN where one of the two has no signal in the rollouts they share.

    Example:
        >>> correlation(torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, -2.0], [-1.0, 2.0], [0.0, 0.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    lanes = reward_advantages.movedim(dim, -2)
    num_rewards = lanes.shape[-2]
    products = (lanes @ lanes.mT).reshape(-1, num_rewards, num_rewards).sum(0)
    if applies is None:
        power = products.diagonal()[:, None].expand_as(products)
    else:
        shared = applies.movedim(dim, -2).to(lanes.dtype)
        power = (lanes.square() @ shared.mT).reshape(-1, num_rewards, num_rewards).sum(0)
    return correlation_ratio(products, power, power.mT)


def correlation_ratio(products: Tensor, power_first: Tensor, power_second: Tensor) -> Tensor:
    """Correlation from sums over rollouts to which both rewards apply: of `z_j z_k`, of `z_j²` and of `z_k²`.

    Returns:
        In [-1, 1], the shape of the sums; NaN where one of the two has no signal.
    """
    power = (power_first * power_second).sqrt()
    return torch.where(power > 0, products / power, torch.nan)
