"""How much rewards agree inside groups, added up over batches: what families are found by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights
from gd2po.core.correlations import correlation_ratio
from gd2po.core.groups import REWARD_DIM
from gd2po.errors import InvalidInputError

MEMORY: Final = 0.99
"""What the sums so far are multiplied by before a batch is added: about 100 batches count."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Sums over rollouts, by which rewards correlate inside groups. A state that goes in and comes out; K rewards.

    The correlation is that of *ranks*: a single score far off, which is what a fooled reward gives, hides the agreement
    of all others in a correlation of z-scores.
    """

    products: Tensor
    """(K, K) sums of x_j x_k over the rollouts to which both rewards apply, on the CPU."""
    powers: Tensor
    """(K, K) sums of x_j² over the same rollouts."""

    @staticmethod
    def of(rewards: Tensor, group_ids: Tensor, *, reward_weights: Weights = None) -> Agreement:
        """The agreement in one batch.

        Args:
            rewards: (N, K) NaN where a reward does not apply.
            group_ids: (N,) integers.
            reward_weights: (K,) None means all 1. A reward of weight 0 agrees with nothing; a negative weight turns its
                reward round.

        Raises:
            InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).

        Example:
            >>> rewards = torch.tensor([[0.1, 0.0], [0.2, 1.0], [0.3, 2.0], [0.4, -99.0]])
            >>> Agreement.of(rewards, torch.zeros(4, dtype=torch.int64)).correlation[0, 1].round(decimals=3)
            tensor(-0.2000, dtype=torch.float64)
        """
        batch = RewardBatch.from_input(rewards, group_ids, reward_weights)
        lanes = batch.sign(batch.standardised_ranks(range(batch.num_rewards))).transpose(REWARD_DIM, -1)
        rows = lanes.reshape(-1, batch.num_rewards)
        applies = torch.ones_like(rows)
        if batch.applies is not None:
            applies = batch.applies.transpose(REWARD_DIM, -1).reshape_as(rows)
        return Agreement((rows.mT @ rows).cpu().double(), (rows.square().mT @ applies).cpu().double())

    def after(self, before: Agreement | None) -> Agreement:
        """The agreement of this batch and all before it, which count less the longer ago they are.

        Args:
            before: what came out of the last batch; None for the first one.
        """
        if before is None:
            return self
        return Agreement(before.products * MEMORY + self.products, before.powers * MEMORY + self.powers)

    @property
    def correlation(self) -> Tensor:
        """(K, K) in [-1, 1], symmetric; NaN where one of the two has no signal in the rollouts they share."""
        return correlation_ratio(self.products, self.powers, self.powers.mT)

    def plain(self) -> dict[str, list[list[float]]]:
        """The sums as JSON holds them, to the last bit."""
        return {"products": self.products.tolist(), "powers": self.powers.tolist()}

    @staticmethod
    def from_plain(values: Mapping[str, Any], num_rewards: int) -> Agreement:
        """The agreement that `plain` gave.

        Raises:
            InvalidInputError: it is of other rewards, or something else.
        """
        try:
            sums = [torch.tensor(values[name], dtype=torch.float64) for name in ("products", "powers")]
        except (KeyError, TypeError, ValueError) as error:
            message = f"`values` must be what Agreement.plain() gave: got {values!r} ({error})."
            raise InvalidInputError(message) from error
        if any(matrix.shape != (num_rewards, num_rewards) for matrix in sums):
            raise InvalidInputError(
                f"`values` must be of {num_rewards} rewards: got sums of shape {tuple(sums[0].shape)} and "
                f"{tuple(sums[1].shape)}. The rewards of a run do not change."
            )
        return Agreement(*sums)
