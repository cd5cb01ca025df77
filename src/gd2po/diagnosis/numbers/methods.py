"""What each method would do with the rollouts of the log: who is dropped, and whose voice the advantage is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from gd2po.core.conflicts import largest_retaining_threshold
from gd2po.core.tolerances import VARIANCE_EPS
from gd2po.diagnosis.numbers.batch import Batch, Bools, Floats

COMPARED_THRESHOLDS = tuple(step / 10 for step in range(1, 10))
"""Thresholds of GD²PO between GDPO (0) and the hard filter (1) that are compared in full."""


@dataclass
class MethodSums:
    """Running sums of one method over the log."""

    name: str
    estimator: Literal["grpo", "gdpo", "gd2po"]
    threshold: float | Literal["auto"] | None = None
    """Of the SNR filter; None where nothing is filtered."""
    min_retained: float = 0.8
    """For "auto"."""
    rollouts: float = 0.0
    kept: float = 0.0
    total: Floats | None = None
    """(2K,) sum of |y|, and of its negative side."""
    lost: Floats | None = None
    """(2K,) the same over what is dropped."""
    effective: float = 0.0
    """Effective sample sizes of the steps, added up."""
    shares: Floats | None = None
    """(K,) shares of the advantage's variance, added up with the rollouts of the steps as weights."""
    shares_weight: float = 0.0
    thresholds: list[float] = field(default_factory=list)
    """Of each step, for "auto"."""

    def add(self, batch: Batch) -> None:
        """Take a chunk in."""
        keep = batch.present & ~self._dropped(batch)
        if self.total is None or self.lost is None or self.shares is None:
            width = batch.magnitude.shape[1]
            self.total, self.lost, self.shares = np.zeros(width), np.zeros(width), np.zeros(width // 2)
        self.rollouts += float(batch.present.sum())
        self.kept += float(keep.sum())
        self.total += batch.magnitude.sum(0)
        self.lost += batch.magnitude[~keep].sum(0)
        advantages, contributions = self._advantages(batch, keep)
        magnitude = np.abs(advantages)
        squares = batch.per_step(magnitude * magnitude)
        pulled = batch.per_step(magnitude) ** 2
        self.effective += float(np.divide(pulled, squares, out=np.zeros_like(squares), where=squares > 0).sum())
        self._add_shares(batch, advantages, contributions)

    def _dropped(self, batch: Batch) -> Bools:
        if self.threshold is None:
            return np.zeros(len(batch.snr), dtype=bool)
        if self.threshold == "auto":
            thresholds = self._automatic(batch)
            self.thresholds += thresholds.tolist()
            return np.asarray(batch.conflicts & (batch.snr < batch.spread_steps(thresholds)))
        return np.asarray(batch.conflicts & (batch.snr < self.threshold))

    def _automatic(self, batch: Batch) -> Floats:
        """(S,) the adaptive threshold of each step, as training finds it."""
        weighted, conflicts, snr = (torch.from_numpy(values) for values in (batch.weighted, batch.conflicts, batch.snr))
        ends = np.append(batch.step_starts[1:], len(batch.snr))
        return np.array(
            [
                float(
                    largest_retaining_threshold(weighted[a:b], conflicts[a:b], snr[a:b], min_retained=self.min_retained)
                )
                for a, b in zip(batch.step_starts.tolist(), ends.tolist(), strict=True)
            ]
        )

    def _advantages(self, batch: Batch, keep: Bools) -> tuple[Floats, Floats]:
        """(N,) advantages up to the scale of each step, and (N, K) what each reward contributes to them."""
        if self.estimator == "grpo":
            return batch.grpo, batch.grpo_contributions
        factor = keep.astype(np.float64)
        if self.estimator == "gd2po":
            size = batch.per_group(batch.present)
            factor *= batch.spread_groups(batch.per_group(keep) / np.maximum(size, 1))
        contributions = batch.weighted * factor[:, None]
        combined = batch.total * factor
        kept = batch.per_step(keep)
        mean = batch.spread_steps(batch.per_step(combined) / np.maximum(kept, 1))
        deviation = np.where(keep, combined - mean, 0)
        variance = batch.per_step(deviation * deviation) / np.maximum(kept - 1, 1)
        scale = np.where(kept > 1, 1 / np.sqrt(variance + VARIANCE_EPS), 0)
        return deviation * batch.spread_steps(scale), contributions

    def _add_shares(self, batch: Batch, advantages: Floats, contributions: Floats) -> None:
        """Add covariance with the advantage over its variance: the shares of a step add up to 1."""
        # The advantages have mean 0 over what is kept, so their products with the contributions are covariances.
        products = batch.per_step(advantages[:, None] * contributions)
        whole = products.sum(1)
        weight = np.where(whole > 0, batch.per_step(batch.present), 0)
        shares = np.divide(products, whole[:, None], out=np.zeros_like(products), where=whole[:, None] > 0)
        assert self.shares is not None
        self.shares += (shares * weight[:, None]).sum(0)
        self.shares_weight += float(weight.sum())


def compared_methods(run_threshold: float | None, min_retained: float) -> list[MethodSums]:
    """The methods that a report compares; the run's own threshold is among them."""
    thresholds = set(COMPARED_THRESHOLDS)
    if run_threshold is not None and 0 < run_threshold < 1:
        thresholds.add(run_threshold)
    return [
        MethodSums("grpo", "grpo"),
        MethodSums("gdpo", "gdpo"),
        *(MethodSums(f"gd2po {value:g}", "gd2po", value) for value in sorted(thresholds)),
        MethodSums("gd2po hard", "gd2po", 1.0),
        MethodSums("gd2po auto", "gd2po", "auto", min_retained=min_retained),
    ]
