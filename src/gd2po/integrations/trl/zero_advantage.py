"""Rollouts whose advantage is exactly 0 have no gradient: this leaves them out of the forward and backward pass.

TRL's loss runs on the rows that are left. Its denominators are those of the full batch, so the gradient is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd2po.integrations.trl.rows import ROW_COLUMNS, has_gradient, loss_mask, trim_padding, unknown_columns

PER_ROLLOUT = ("grpo", "sapo", "luspo", "dr_grpo")
"""Losses that divide by the number of rollouts."""

PER_TOKEN = ("bnpo",)
"""Losses that divide by the tokens of the micro-batch."""

PER_GENERATION_BATCH = ("dapo", "cispo", "vespo")
"""Losses that divide by a total that comes with the batch, and do not see which rows are there."""


@dataclass(frozen=True)
class ReducedInputs:
    """A micro-batch without the rows that have no gradient."""

    inputs: dict[str, Any]
    loss_factor: Tensor
    """What the loss of the reduced rows has to be multiplied by."""
    skipped_rows: float
    """Share of the rollouts that were left out."""
    skipped_tokens: float
    """Share of the positions, padding included, that were left out."""


def reason_to_keep_all(trainer: Any, inputs: dict[str, Any]) -> str | None:
    """Why rows without advantage cannot be left out under the trainer's settings, or None if they can."""
    unknown = unknown_columns(inputs)
    if trainer.beta != 0:
        return "the KL penalty (beta) acts on every rollout"
    if getattr(trainer, "_entropy_bonus_enabled", False):
        return "the entropy bonus acts on every rollout"
    if getattr(trainer, "aux_loss_enabled", False):
        return "the router's auxiliary loss acts on every rollout"
    if trainer.top_entropy_quantile < 1:
        return "top_entropy_quantile compares the tokens of all rollouts"
    if trainer.loss_type not in (*PER_ROLLOUT, *PER_TOKEN, *PER_GENERATION_BATCH):
        return f"it is not known what the loss {trainer.loss_type!r} divides by"
    if unknown:  # images come by image or tile
        return f"it is not known which rollout each entry of {unknown[0]!r} belongs to"
    return None


def reduce_inputs(inputs: dict[str, Any], *, loss_type: str, rotary: bool, accelerator: Any) -> ReducedInputs:
    """The micro-batch without the rows whose advantage is 0, and without the padding that only they needed.

    Every process keeps as many rows as the one with the most, and at least one, so that the collectives of forward,
    backward and metrics meet everywhere; rows without advantage fill up, the shortest first.

    Args:
        inputs: what TRL hands to its loss, B rows.
        loss_type: of the trainer's settings.
        rotary: the model sees distances between positions only, so padding before the prompts may go.
        accelerator: for the number of rows on the other processes.
    """
    advantages = inputs["advantages"]
    total = len(advantages)
    lengths = inputs["completion_mask"].sum(1)
    wanted = has_gradient(inputs)
    kept = wanted.sum()
    if accelerator.num_processes > 1:
        kept = accelerator.gather(kept.reshape(1)).max()
    count = max(1, int(kept))
    if count == total:
        return ReducedInputs(inputs, advantages.new_ones(()), 0.0, 0.0)
    # Rows with an advantage come first, then the shortest; back in their order for the sake of reproducible sums.
    order = torch.argsort(torch.where(wanted, -1, lengths), stable=True)
    rows = order[:count].sort().values
    reduced = {key: value[rows] if key in ROW_COLUMNS else value for key, value in inputs.items()}
    trim_padding(reduced, prompts=rotary)

    carries_loss = loss_mask(inputs)
    factor = advantages.new_ones(())
    if loss_type in PER_ROLLOUT:
        factor = factor * (count / total)
    elif loss_type in PER_TOKEN:
        factor = factor * carries_loss[rows].sum().clamp(min=1) / carries_loss.sum().clamp(min=1)
    return ReducedInputs(reduced, factor, 1 - count / total, 1 - _positions(reduced) / _positions(inputs))


def has_rotary_positions(model: Any) -> bool:
    """Whether the model encodes positions by rotation, by its configuration."""
    config = model.config.get_text_config()
    return getattr(config, "rope_parameters", None) is not None or getattr(config, "rope_theta", None) is not None


def _positions(inputs: dict[str, Any]) -> int:
    rows, prompt = inputs["prompt_ids"].shape
    return int(rows * (prompt + inputs["completion_ids"].shape[1]))
