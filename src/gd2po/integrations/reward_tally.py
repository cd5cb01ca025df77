"""Which rewards have taught nothing in a run so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gd2po.core.transforms import reward_varies_mask
from gd2po.errors import InvalidInputError


class RewardTally:
    """Whether each reward applied, and told rollouts of a group apart, in the batches of a run.

    Args:
        num_rewards: K.

    Example:
        >>> tally = RewardTally(3)
        >>> tally.count(torch.tensor([[1.0, torch.nan, 1.0], [0.0, torch.nan, 1.0]]), torch.tensor([0, 0]))
        >>> tally.idle(["a", "b", "c"])
        {'b': 'never applied', 'c': 'never told rollouts apart'}
    """

    def __init__(self, num_rewards: int) -> None:
        self._batches = 0
        self._applied = torch.zeros(num_rewards, dtype=torch.bool)
        self._varied = torch.zeros(num_rewards, dtype=torch.bool)

    def count(self, rewards: Tensor, group_ids: Tensor) -> None:
        """Take a batch in: (N, K) rewards as the functions gave them, (N,) groups."""
        self._batches += 1
        if bool(self._varied.all()):
            return
        self._applied |= (~rewards.isnan()).any(0).cpu()
        self._varied |= reward_varies_mask(rewards, group_ids).any(0).cpu()

    def idle(self, reward_names: Sequence[str]) -> dict[str, str]:
        """The rewards that taught nothing in the batches so far, and why; none before the first."""
        found: dict[str, str] = {}
        if self._batches == 0:
            return found
        for name, applied, varied in zip(reward_names, self._applied.tolist(), self._varied.tolist(), strict=True):
            if not varied:
                found[name] = "never told rollouts apart" if applied else "never applied"
        return found

    def plain(self) -> dict[str, Any]:
        """The tally as JSON holds it."""
        return {"batches": self._batches, "applied": self._applied.tolist(), "varied": self._varied.tolist()}

    @staticmethod
    def from_plain(values: Mapping[str, Any], num_rewards: int) -> RewardTally:
        """The tally that `plain` gave.

        Raises:
            InvalidInputError: it is of other rewards, or something else.
        """
        tally = RewardTally(num_rewards)
        try:
            tally._batches = int(values["batches"])
            tally._applied, tally._varied = (
                torch.tensor(values[name], dtype=torch.bool) for name in ("applied", "varied")
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"`values` must be what RewardTally.plain() gave: got {values!r} ({error})."
            raise InvalidInputError(message) from error
        if any(seen.shape != (num_rewards,) for seen in (tally._applied, tally._varied)):
            raise InvalidInputError(
                f"`values` must be of {num_rewards} rewards: got {values!r}. The rewards of a run do not change."
            )
        return tally
