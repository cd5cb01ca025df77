"""Group statistics: the only home of the rules for degenerate groups.

Inside, rollouts lie in *lanes*, the layout in which every reduction is one vectorised pass. Groups that arrive as
consecutive blocks of one size (as trainers pass them) become (G, K, Q): a group is reduced over the first dimension,
and its total broadcasts back without a copy. All other groups stay in (K, N) and are reduced by scattering. The
rewards are the second dimension from the end in both, so that the rest of the code need not know which one it has.
In a `Stack` of S batches with the same groups, S is the dimension before the rewards: (G, S, K, Q) or (S, K, N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gd2po.core.tolerances import STD_EPS

REWARD_DIM = -2
"""The dimension of the rewards in the lane layout."""


def lanes_of(lanes: Tensor, rewards: Sequence[int]) -> Tensor:
    """The lanes of some rewards, in ascending order: a view where they lie side by side."""
    first, last = rewards[0], rewards[-1]
    if last - first + 1 == len(rewards):
        return lanes[..., first : last + 1, :]
    return lanes[..., rewards, :]


def put_lanes(lanes: Tensor, rewards: Sequence[int], values: Tensor) -> None:
    """Write values over the lanes of some rewards, in ascending order: at once where they lie side by side.

    Example:
        >>> lanes = torch.zeros(3, 2)
        >>> put_lanes(lanes, [0, 2], torch.tensor([1.0, 2.0]))
        >>> lanes.tolist()
        [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0]]
    """
    first, last = rewards[0], rewards[-1]
    if last - first + 1 == len(rewards):
        lanes[..., first : last + 1, :] = values
    else:
        lanes[..., rewards, :] = values


def compute_dtype(device: torch.device) -> torch.dtype:
    """Float type used inside: float64, or float32 on devices that have no float64 (Apple's MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class Groups:
    """Which rollout belongs to which group, ready for reductions without a loop over groups."""

    num_rollouts: int
    group_size: int | None
    """Size of the groups where they are consecutive blocks of one size, else None."""
    index: Tensor | None
    """(N,) slot of each rollout's group where they are not, else None."""
    num_slots: int
    """Upper bound on the number of groups; the number itself where they are consecutive blocks of one size."""
    stacked: bool = False
    """They are those of every batch of a stack."""

    @staticmethod
    def from_ids(group_ids: Tensor) -> Groups:
        """Groups of a vector of ids.

        Args:
            group_ids: (N,) integers, N > 0, any values in any order.
        """
        num_rollouts = group_ids.numel()
        if group_ids.device.type != "cpu":
            # As many slots as rollouts: empty slots cost little, whereas fetching the number of groups (or looking
            # for consecutive blocks) would make the host wait for everything queued on the accelerator.
            return Groups(num_rollouts, None, _dense_index(group_ids), num_rollouts)
        group_size = _equal_block_size(group_ids)
        if group_size is not None:
            return Groups(num_rollouts, group_size, None, num_rollouts // group_size)
        lowest, highest = (int(bound) for bound in group_ids.aminmax())
        if highest - lowest < 4 * num_rollouts:  # the ids themselves will do; sorting costs more than empty slots
            return Groups(num_rollouts, None, group_ids.long() - lowest, highest - lowest + 1)
        index = _dense_index(group_ids)
        return Groups(num_rollouts, None, index, int(index.max()) + 1)

    @staticmethod
    def of_one(num_rollouts: int) -> Groups:
        """All rollouts in one group."""
        return Groups(num_rollouts, num_rollouts, None, 1)

    def to_lanes(self, values: Tensor) -> Tensor:
        """(N, K) -> (G, K, Q) or (K, N); (N,) -> (G, Q) or (N,); of a stack (S, N, K) -> (G, S, K, Q) or (S, K, N)."""
        if values.ndim == 3:
            if self.group_size is None:
                return values.mT.contiguous()
            blocks = values.reshape(len(values), self.num_slots, self.group_size, -1)
            return blocks.permute(2, 0, 3, 1).contiguous()
        if self.group_size is None:
            return values.t().contiguous()
        # One two-dimensional transposition: torch copies those block by block, several times faster than a permute.
        lanes = values.reshape(self.num_slots, -1).t().contiguous()
        return lanes.view(self.group_size, *values.shape[1:], self.num_slots)

    def from_lanes(self, lanes: Tensor) -> Tensor:
        """Undo `to_lanes`."""
        if self.stacked:
            rows = lanes if self.group_size is None else lanes.movedim(0, -1).flatten(-2)  # (S, K, N) or (S, N)
            return rows.transpose(1, -1).contiguous()
        if self.group_size is None:
            return lanes.t().contiguous()
        return lanes.flatten(0, -2).t().reshape(self.num_rollouts, *lanes.shape[1:-1])

    def total(self, lanes: Tensor) -> Tensor:
        """Sum over each group: one value per slot, (1, K, Q) or (K, slots)."""
        if self.index is None:
            return lanes.sum(0, keepdim=True)
        slots = lanes.new_zeros(*lanes.shape[:-1], self.num_slots)
        return slots.scatter_add_(-1, self.index.expand_as(lanes), lanes)

    def largest(self, lanes: Tensor) -> Tensor:
        """Largest magnitude in each group: one value per slot, 0 in an empty one."""
        if self.index is None:
            return torch.maximum(lanes.amax(0, keepdim=True), lanes.amin(0, keepdim=True).neg_())
        slots = lanes.new_zeros(*lanes.shape[:-1], self.num_slots)
        return slots.scatter_reduce_(-1, self.index.expand_as(lanes), lanes.abs(), "amax")

    def spread(self, slots: Tensor) -> Tensor:
        """One value per slot -> a tensor that broadcasts against the lanes."""
        if self.index is None:
            return slots
        return slots.gather(-1, self.index.expand(*slots.shape[:-1], -1))


def _equal_block_size(group_ids: Tensor) -> int | None:
    """Size of the groups if all are consecutive blocks of one size and no id comes back later, else None."""
    num_rollouts = group_ids.numel()
    # argmax of a bool tensor is slow; the first difference is the first 1.
    first_other = int((group_ids != group_ids[0]).to(torch.uint8).argmax())
    group_size = first_other or num_rollouts
    if num_rollouts % group_size != 0:
        return None
    blocks = group_ids.view(-1, group_size)
    ids = blocks[:, 0]
    if not torch.equal(blocks, ids[:, None].expand_as(blocks)):
        return None
    # Ascending ids, as trainers number their prompts, cannot repeat. Other orders pay for a sort, except single
    # rollouts in disorder, which are likely a shuffled batch.
    ascending = bool((ids[1:] > ids[:-1]).all())
    if ascending or (group_size > 1 and bool((ids.sort().values.diff() != 0).all())):
        return group_size
    return None


def _dense_index(group_ids: Tensor) -> Tensor:
    """(N,) groups numbered 0, 1, ... in the order of their ids, without fetching their number."""
    sorted_ids, order = torch.sort(group_ids)
    starts = torch.zeros_like(sorted_ids, dtype=torch.int64)
    starts[1:] = sorted_ids[1:] != sorted_ids[:-1]
    index = torch.empty_like(starts)
    index[order] = starts.cumsum(0)
    return index


@dataclass(frozen=True, eq=False)
class Deviations:
    """Rewards minus the means of their groups, in units of the largest magnitude of the group.

    That unit makes the rule for rounding noise (`|r - mean| <= eps max|r|` is at the mean) a comparison with one
    number, and no finite reward overflows when squared.
    """

    groups: Groups
    scaled: Tensor
    """Lanes in the dtype to compute in. Exactly 0 where a reward is at its mean or does not apply, and in groups with
    fewer than two rollouts to which it applies."""
    largest: Tensor
    """One value per slot: the unit."""
    count: Tensor
    """One value per slot: the rollouts to which the reward applies."""

    @staticmethod
    def of(lanes: Tensor, applies: Tensor | None, groups: Groups, rounding_eps: float) -> Deviations:
        """Deviations of rewards.

        Args:
            lanes: rewards in the lane layout, in any dtype; 0 where a reward does not apply.
            applies: 1 where the reward applies and 0 where not, like `scaled`; None if all apply.
            groups: the groups of the lanes.
            rounding_eps: machine epsilon of the dtype in which the rewards came.
        """
        dtype = compute_dtype(lanes.device)
        count = groups.total(torch.ones_like(lanes[..., :1, :], dtype=dtype) if applies is None else applies)
        # In place wherever possible: memory fresh from the system costs several times the arithmetic.
        largest = groups.largest(lanes).to(dtype).clamp_min_(torch.finfo(dtype).tiny)
        scaled = lanes / groups.spread(largest)
        scaled -= groups.spread(groups.total(scaled) / count.clamp_min(1))
        if applies is not None:
            scaled *= applies
        torch.hardshrink(scaled, rounding_eps, out=scaled)
        return Deviations(groups, scaled, largest, count)

    @cached_property
    def squares(self) -> Tensor:
        """One value per slot: the sum of the squares of `scaled`; 0 where the reward is dead."""
        return self.groups.total(self.scaled.square())

    def std(self, *, population: bool = False) -> Tensor:
        """One value per slot, in units of `largest`: the standard deviation, unbiased unless of the population."""
        return (self.squares / (self.count if population else self.count - 1).clamp_min(1)).sqrt_()

    def times(self, factor: Tensor, *, in_place: bool = False) -> Tensor:
        """Lanes: `scaled` times one value per slot. In place is faster, and the deviations are gone."""
        spread = self.groups.spread(factor)
        return self.scaled.mul_(spread) if in_place else self.scaled * spread

    def in_units_of_the_rewards(self, *, in_place: bool = False) -> Tensor:
        """Lanes: `r - mean`."""
        return self.times(self.largest, in_place=in_place)

    def standardised(self, *, population: bool = False, std_eps: float = STD_EPS, in_place: bool = False) -> Tensor:
        """Lanes: `(r - mean) / (std + std_eps)`."""
        divisor = self.groups.spread(self.std(population=population) + std_eps / self.largest)
        return self.scaled.div_(divisor) if in_place else self.scaled / divisor
