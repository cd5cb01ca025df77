"""Micro-batches of rollouts of like length: the same update with less padding.

TRL deals the rollouts of a generation batch into micro-batches at random, so that nearly every one holds a long
completion, and pads the others to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gd2po.integrations.trl.rows import ROW_COLUMNS, trim_padding, unknown_columns
from gd2po.integrations.trl.zero_advantage import PER_GENERATION_BATCH, PER_ROLLOUT


def reason_to_leave_mixed(trainer: Any, inputs: dict[str, Any]) -> str | None:
    """Why it matters under the trainer's settings which rollouts share a micro-batch, or None if it does not."""
    unknown = unknown_columns(inputs)
    if trainer.args.gradient_accumulation_steps % trainer.args.steps_per_generation:
        return "an update sees only some micro-batches of a generation batch"
    if trainer.loss_type not in (*PER_ROLLOUT, *PER_GENERATION_BATCH):
        return f"the loss {trainer.loss_type!r} divides by the tokens of a micro-batch"
    if getattr(trainer, "_entropy_bonus_enabled", False):
        return "the entropy bonus is a mean over a micro-batch"
    if getattr(trainer, "aux_loss_enabled", False):
        return "the router's auxiliary loss is one of a micro-batch"
    if trainer.top_entropy_quantile < 1:
        return "top_entropy_quantile compares the tokens of a micro-batch"
    if unknown:  # images come by image or tile
        return f"it is not known which rollout each entry of {unknown[0]!r} belongs to"
    return None


def by_length(batches: Sequence[dict[str, Any]], *, rotary: bool) -> list[dict[str, Any]]:
    """The rollouts of micro-batches of one size, dealt anew by the length of their completions.

    Args:
        batches: what TRL hands to its loss, one after the other, padded to one length.
        rotary: the model sees distances between positions only, so padding before the prompts may go.

    Returns:
        As many micro-batches of the same size, each without the padding that it does not need; the longest completions
        come first, so that a batch too large for the memory fails at once.
    """
    size = len(batches[0]["advantages"])
    rows = {key: torch.cat([batch[key] for batch in batches]) for key in ROW_COLUMNS if key in batches[0]}
    order = torch.argsort(rows["completion_mask"].sum(1), descending=True, stable=True)
    dealt = []
    for batch, own in zip(batches, torch.split(order, size), strict=True):
        new = {**batch, **{key: values[own] for key, values in rows.items()}}
        trim_padding(new, prompts=rotary)
        dealt.append(new)
    return dealt
