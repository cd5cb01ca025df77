"""`model.generate` for batches whose rows differ in length: finished rows leave, equal prompts are read once.

Transformers decodes a batch until its last row ends, finished rows included, reads a prompt once per row, and copies
all keys and values at every token. On rollouts, of which most are short and eight share a prompt, more than half of
that work is wasted. The distribution of every completion is the same either way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

STRETCH = 16
"""Tokens between two looks at which rows are finished. 8 and 24 take as long."""

_INDEPENDENT = frozenset({
    "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "suppress_tokens",
    "pad_token_id", "bos_token_id", "eos_token_id", "disable_compile", "transformers_version", "_from_model_config",
})  # fmt: skip
"""Settings that mean the same for a row whatever else is in its batch and however many calls decode it."""


def decode(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    generation_config: GenerationConfig | None = None,
    **options: Any,
) -> Tensor:
    """Prompts with their completions, as `model.generate` returns them.

    Settings, inputs and models outside those known to allow it go to `model.generate` as they came.

    Args:
        model: a causal language model of transformers.
        input_ids: (N, P) prompts, padded on the left.
        attention_mask: (N, P) 1 where a token counts.
        generation_config: settings; the model's own by default.
        options: further keywords of `model.generate`; settings among them win.

    Returns:
        (N, P + T) prompts and completions; after its end token a completion is padded.
    """
    generate: Callable[..., Tensor] = type(model).generate
    config = copy.deepcopy(generation_config or model.generation_config)
    inputs = config.update(**options)
    if inputs or input_ids.shape[1] < 2 or not _rows_may_leave(model, config):
        return generate(model, input_ids, attention_mask=attention_mask, generation_config=generation_config, **options)

    (rows, width), limit = input_ids.shape, config.max_new_tokens
    ends = torch.as_tensor(config.eos_token_id, device=input_ids.device)
    completions = input_ids.new_full((rows, limit), config.pad_token_id)
    cache = _prompt_cache(model, input_ids, attention_mask, config)
    running, sequences, mask, length = torch.arange(rows, device=input_ids.device), input_ids, attention_mask, 0
    while len(running) and length < limit:
        config.max_new_tokens = min(STRETCH, limit - length)
        sequences = generate(model, sequences, attention_mask=mask, past_key_values=cache, generation_config=config)
        new = sequences[:, width + length :]
        completions[running, length : length + new.shape[1]] = new
        length += new.shape[1]
        mask = torch.cat([mask, mask.new_ones(new.shape)], dim=1)
        left = (~torch.isin(new, ends).any(dim=1)).nonzero().flatten()
        if len(left) < len(running):
            running, sequences, mask = running[left], sequences[left], mask[left]
            cache.batch_select_indices(left)
    return torch.cat([input_ids, completions[:, :length]], dim=1)


def _rows_may_leave(model: Any, config: GenerationConfig) -> bool:
    """Whether settings and model are such that a row can be decoded in several calls and without its neighbours."""
    complete = None not in (config.max_new_tokens, config.pad_token_id, config.eos_token_id)
    if not complete or not set(config.to_diff_dict()) <= _INDEPENDENT or model.config.is_encoder_decoder:
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def _prompt_cache(model: Any, input_ids: Tensor, attention_mask: Tensor, config: GenerationConfig) -> DynamicCache:
    """Keys and values of all but the last token of every prompt, each prompt computed once."""
    width, cache = input_ids.shape[1], DynamicCache(config=model.config)
    cache.layers = [RoomyLayer() for _ in cache.layers]
    prompts, which = torch.unique(torch.stack([attention_mask, input_ids], dim=1), dim=0, return_inverse=True)
    one = copy.deepcopy(config)
    one.max_new_tokens = 1
    type(model).generate(
        model, prompts[:, 1], attention_mask=prompts[:, 0], past_key_values=cache, generation_config=one
    )
    cache.crop(width - 1)
    cache.batch_select_indices(which)
    return cache


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A `DynamicLayer` with room for a stretch of tokens ahead, so that a token is written and the rest not copied."""

    keys: Tensor
    values: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (N, heads, T, size); return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._room: list[Tensor] = []
        start: int = self.get_seq_length()
        end = start + key_states.shape[-2]
        # Methods that select or repeat rows leave other tensors in `keys`; one that crops leaves the start of the room.
        if not self._room or self.keys.data_ptr() != self._room[0].data_ptr() or end > self._room[0].shape[-2]:
            self._room = [_with_room(self.keys, key_states), _with_room(self.values, value_states)]
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[..., start:end, :] = states
        self.keys, self.values = (room[..., :end, :] for room in self._room)
        return self.keys, self.values


def _with_room(before: Tensor, new: Tensor) -> Tensor:
    """A tensor that begins with what there is before, with room for new tokens and a stretch."""
    length = before.shape[-2] if before.numel() else 0
    room = new.new_empty((*new.shape[:-2], length + new.shape[-2] + STRETCH, new.shape[-1]))
    if length:
        room[..., :length, :] = before
    return room
