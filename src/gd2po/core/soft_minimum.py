"""Between the mean and the minimum of several rewards."""

from __future__ import annotations

import torch
from torch import Tensor

from gd2po.core.groups import REWARD_DIM
from gd2po.core.tolerances import NEGLIGIBLE_KAPPA


def prior_shares(sizes: Tensor) -> Tensor:
    """Sizes over their sum in each rollout, lanes or (K, 1); 0 where the sum is 0."""
    total = sizes.sum(REWARD_DIM, keepdim=True)
    return sizes / total.masked_fill(total == 0, 1)


def soft_minimum(values: Tensor, prior: Tensor, kappa: float) -> tuple[Tensor, Tensor]:
    """Soft minimum `-1/kappa log sum_k p_k exp(-kappa x_k)`, and the terms of that sum up to a common factor.

    kappa = 0 is the mean, a large kappa the minimum.

    Args:
        values: lanes of x.
        prior: lanes or (K, 1) of p, adding up to 1 or to 0; 0 where a reward takes no part.
        kappa: at least 0.

    Returns:
        Lanes without rewards, 0 where no reward takes part; and lanes, `p_k exp(-kappa (x_k - min x))`.

    Example:
        >>> values = torch.tensor([[1.5], [0.0]], dtype=torch.float64)
        >>> soft_minimum(values, torch.tensor([[0.5], [0.5]], dtype=torch.float64), kappa=1.0)[0]
        tensor([0.4917], dtype=torch.float64)

    Source:
        RVPO: Risk-Sensitive Alignment via Variance Regularization (arXiv:2605.05750).
    """
    if kappa < NEGLIGIBLE_KAPPA:
        return (prior * values).sum(REWARD_DIM), prior.expand_as(values)
    least = values.masked_fill(prior == 0, torch.inf).amin(REWARD_DIM, keepdim=True)
    least.masked_fill_(least == torch.inf, 0)
    # Those that do not take part may lie below the least, and exp must not overflow for them.
    exponents = (least - values).clamp_max_(0).mul_(min(kappa, torch.finfo(values.dtype).max))
    excess = exponents.expm1_().mul_(prior)
    terms = excess + prior
    excess, total = excess.sum(REWARD_DIM), terms.sum(REWARD_DIM)
    # log1p is exact where the exponents are small, log where the sum is.
    logarithm = torch.where(excess > -0.5, excess.log1p(), total.log())
    return least.squeeze(REWARD_DIM) - logarithm / kappa, terms
