"""What every method returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from gd2po.core.groups import Groups, compute_dtype
from gd2po.core.tolerances import SIGNAL_TOLERANCE, SIGNAL_TOLERANCE_32


@dataclass(frozen=True, eq=False)
class Parts:
    """Intermediate values in the lane layout, from which the rarely needed fields of a result are made when read."""

    groups: Groups
    dtype: torch.dtype
    """Of the rewards."""
    present: Tensor
    """bool: some reward with a weight applies to the rollout."""
    unwhitened: Tensor
    """The advantages before whitening."""
    components: Tensor | None
    """What each reward adds to the advantages, before `factor`."""
    factor: Tensor | None
    """What the components of each rollout are multiplied by; None: by 1."""
    loss_weight: Tensor | None = None
    """What the loss of each rollout is to be multiplied by; None: by 1."""

    def rows(self, lanes: Tensor) -> Tensor:
        """Lanes as rows of rollouts, in memory of their own: callers may write into results."""
        rows = self.groups.from_lanes(lanes if lanes.dtype == torch.bool else lanes.to(self.dtype))
        shared = rows.untyped_storage().data_ptr() == lanes.untyped_storage().data_ptr()
        return rows.clone() if shared else rows


@dataclass(frozen=True, eq=False)
class AdvantageResult:
    """Advantages and how they came about. N rollouts, K rewards; floats in the dtype of the rewards."""

    advantages: Tensor
    """(N,) what the policy is updated with, `loss_weight` aside. Exactly 0 where a rollout is dropped."""
    reward_advantages: Tensor
    """(N, K) each reward standardised inside its group, before weighing; 0 where it does not apply."""
    conflict_mask: Tensor
    """(N,) bool: the rewards of the rollout disagree in sign."""
    keep_mask: Tensor
    """(N,) bool: the rollout takes part in the update. False where no reward applies."""
    keep_ratio: Tensor
    """(N,) kept rollouts / rollouts of the group, the same for all of a group."""
    snr: Tensor
    """(N,) agreement score in [0, 1]; 1 where no signs are mixed."""
    snr_threshold: float
    """The threshold as used: 0 without a filter, 1 for the hard one, the one found for "auto"."""
    multipliers: Tensor | None = None
    """The weights that the method found, in the shape that its docstring states; None if it finds none."""
    _parts: Parts | None = field(default=None, repr=False)

    @cached_property
    def present_mask(self) -> Tensor:
        """(N,) bool: some reward with a weight applies to the rollout."""
        parts = self._made_from()
        return parts.rows(parts.present)

    @cached_property
    def unwhitened(self) -> Tensor:
        """(N,) the advantages before whitening, S in docs/algorithm.md; filter and query weight are in it."""
        parts = self._made_from()
        return parts.rows(parts.unwhitened)

    @cached_property
    def components(self) -> Tensor | None:
        """(N, K) what each reward adds: sums to `unwhitened`. None where rewards are summed before all else."""
        parts = self._made_from()
        if parts.components is None:
            return None
        return parts.rows(parts.components if parts.factor is None else parts.components * parts.factor.unsqueeze(-2))

    @cached_property
    def loss_weight(self) -> Tensor:
        """(N,) what the loss of the rollout is to be multiplied by, outside its clipping: the query weight, else 1."""
        parts = self._made_from()
        return torch.ones_like(self.advantages) if parts.loss_weight is None else parts.rows(parts.loss_weight)

    @cached_property
    def loss_advantages(self) -> Tensor:
        """(N,) `advantages * loss_weight`, for losses that are proportional to a positive factor of the advantage.

        Clipped policy losses are: `min(ratio w A, clip(ratio) w A) = w min(ratio A, clip(ratio) A)` for w >= 0.
        """
        parts = self._made_from()
        return self.advantages.clone() if parts.loss_weight is None else self.advantages * self.loss_weight

    @cached_property
    def advantage_components(self) -> Tensor | None:
        """(N, K) the components on the scale of `advantages`, to which they sum; None where there are none.

        What whitening takes away from every kept rollout is taken in equal parts from the rewards that have a say.
        """
        if self.components is None:
            return None
        dtype = compute_dtype(self.components.device)
        components, kept = self.components.to(dtype), self.keep_mask.to(dtype)
        before, after = self.unwhitened.to(dtype), self.advantages.to(dtype)
        # Whitening is affine over the kept rollouts, so that two sums tell its slope.
        deviation = (before - (before * kept).sum() / kept.sum().clamp_min(1)) * kept
        largest = deviation.abs().amax()  # the squares of huge deviations would overflow
        unit = torch.where(largest > 0, deviation / largest, 0.0)
        scaled = components * torch.where(largest > 0, (unit * after).sum() / (unit * unit).sum() / largest, 0.0)
        has_say = (components != 0).any(0).to(dtype)
        shift = (after - scaled.sum(1)) * kept / has_say.sum().clamp_min(1)
        return (scaled + shift[:, None] * has_say).to(self.components.dtype)

    @cached_property
    def signal_mask(self) -> Tensor:
        """(N,) bool, the same for all of a group: some advantage of the group is not 0 before whitening."""
        parts = self._made_from()
        tolerance = SIGNAL_TOLERANCE if parts.dtype == torch.float64 else SIGNAL_TOLERANCE_32
        has_signal = parts.groups.largest(parts.unwhitened) > tolerance
        return parts.rows(parts.groups.spread(has_signal).expand_as(parts.unwhitened).contiguous())

    def _made_from(self) -> Parts:
        assert self._parts is not None, "only results of the advantage functions know how they came about"
        return self._parts
