"""Many batches in one call."""

from __future__ import annotations

from torch import Tensor


class Stack(Tensor):
    """(S, N, K): the rewards of S batches that have the same groups, for a function of a `stackable` method.

    Each batch is computed as if it were alone, and S is the first dimension of every tensor in the result.
    `advantage_components` are not made of a stack, and `snr_threshold` is NaN where each batch found its own.

    Example:
        >>> import torch
        >>> from gd2po import gdpo_advantages
        >>> rewards = torch.tensor([[[1.0], [2.0]], [[5.0], [5.0]]]).as_subclass(Stack)
        >>> gdpo_advantages(rewards, torch.tensor([0, 0])).advantages
        tensor([[-0.7071,  0.7071],
                [ 0.0000,  0.0000]])
    """
