"""What TRL hands to its loss, by row: which entries hold one row per rollout, and their padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

PROMPT_COLUMNS = ("prompt_ids", "prompt_mask")
"""(B, P) padded before the prompt."""

COMPLETION_COLUMNS = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
)
"""(B, T) padded after the completion; the ratio may have one value per rollout, (B, 1)."""

COMPONENTS = "advantage_components"
"""(B, K) what each reward adds to the advantages; only where gradients are coordinated."""

ROW_COLUMNS = (*PROMPT_COLUMNS, *COMPLETION_COLUMNS, "advantages", COMPONENTS)
"""Entries with one row per rollout."""


def unknown_columns(inputs: Mapping[str, Any]) -> list[str]:
    """Entries of which it is not known which rollout each belongs to: images come by image or tile."""
    return [key for key, value in inputs.items() if key not in ROW_COLUMNS and _is_batched(value)]


def has_gradient(inputs: Mapping[str, Any]) -> Tensor:
    """(B,) bool: some advantage of the rollout is not 0, that of a single reward where gradients are coordinated."""
    mask: Tensor = inputs["advantages"] != 0
    return (inputs[COMPONENTS] != 0).any(1) if COMPONENTS in inputs else mask


def loss_mask(inputs: Mapping[str, Any]) -> Tensor:
    """(B, T) the completion tokens that carry loss: tool results and masked truncated completions do not."""
    mask: Tensor = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def trim_padding(inputs: dict[str, Any], *, prompts: bool) -> None:
    """Take away columns in which every row is padding: after the completions and, if told to, before the prompts."""
    if prompts:
        first = int(_used_columns(inputs["prompt_mask"])[0])
        for key in PROMPT_COLUMNS:
            inputs[key] = inputs[key][:, first:]
    width = inputs["completion_mask"].shape[1]
    end = int(_used_columns(inputs["completion_mask"])[-1]) + 1
    for key in COMPLETION_COLUMNS:
        if key in inputs and inputs[key].ndim == 2 and inputs[key].shape[1] == width:
            inputs[key] = inputs[key][:, :end]


def _used_columns(mask: Tensor) -> Tensor:
    """Indices of the columns that some row uses; the first if none does."""
    used = mask.any(0).nonzero().flatten()
    return used if len(used) else used.new_zeros(1)


def _is_batched(value: Any) -> bool:
    """Tensors and lists are by row, image or tile; single numbers and None are not."""
    return isinstance(value, (list, tuple)) or (isinstance(value, Tensor) and value.ndim > 0)
