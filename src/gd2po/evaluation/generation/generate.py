"""Completions of a list of prompts, greedy or sampled, in batches of prompts of like length."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.evaluation.generation.decoding import decode


class Policy(Protocol):
    """What generates: a model behind one of the backends."""

    tokenizer: Any
    """A tokenizer of transformers."""
    context: int | None
    """Most tokens of prompt and completion together; None where the model does not say."""

    def complete(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[str]:
        """The completion of each prompt, given as token ids; texts without special tokens."""


class TransformersPolicy:
    """A causal language model of transformers, as a `Policy`.

    Args:
        model: the model, on the device where it is to run.
        tokenizer: its tokenizer, which must know a pad token.
        temperature: 0 takes the likeliest token, above 0 samples from the whole distribution.
        seed: of the samples; a batch of the same prompts gives the same ones, whatever came before it. None for
            samples that differ from call to call.
    """

    def __init__(self, model: Any, tokenizer: Any, *, temperature: float = 0.0, seed: int | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._seed = seed
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if temperature > 0:
            self._sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}

    @torch.no_grad()
    def complete(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[str]:
        """The completions of one batch, generated together."""
        pad = self.tokenizer.pad_token_id
        batch = self.tokenizer.pad({"input_ids": list(prompts)}, padding_side="left", return_tensors="pt")
        batch = batch.to(self.model.device)
        was_training = self.model.training
        self.model.eval()
        with self._random_state(prompts):
            output = decode(self.model, **batch, max_new_tokens=max_new_tokens, pad_token_id=pad, **self._sampling)
        self.model.train(was_training)
        texts = self.tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        return list(texts)

    @contextmanager
    def _random_state(self, prompts: Sequence[list[int]]) -> Iterator[None]:
        """Torch's random state as the seed and the prompts make it, and afterwards as it was."""
        if self._seed is None or not self._sampling["do_sample"]:
            yield
            return
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(zlib.crc32(json.dumps([self._seed, *prompts]).encode()))
            yield


def generate_completions(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Any],
    *,
    max_new_tokens: int,
    batch_size: int = 64,
    temperature: float = 0.0,
    on_batch: Callable[[int], None] | None = None,
) -> list[str]:
    """The completion of each prompt, in the order of the prompts.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer, which must know a pad token; with a chat template where prompts are messages.
        prompts: texts or message lists.
        max_new_tokens: longest completion, in tokens.
        batch_size: prompts generated together. Longer prompts come first, so that a batch too large for the memory
            fails at once.
        temperature: 0 takes the likeliest token, above 0 samples from the whole distribution.
        on_batch: called with the number of prompts done after each batch.

    Returns:
        Texts without special tokens.

    Raises:
        DataFormatError: the prompts are messages and the tokenizer has no chat template.
    """
    encoded = encode_prompts(tokenizer, prompts)
    policy = TransformersPolicy(model, tokenizer, temperature=temperature)
    completions = [""] * len(encoded)
    for rows in batches_by_length(encoded, batch_size):
        texts = policy.complete([encoded[row] for row in rows], max_new_tokens)
        for row, text in zip(rows, texts, strict=True):
            completions[row] = text
        if on_batch is not None:
            on_batch(len(rows))
    return completions


def encode_prompts(tokenizer: Any, prompts: Sequence[Any], *, max_tokens: int | None = None) -> list[list[int]]:
    """The token ids of each prompt; messages through the chat template, ready for the assistant's turn.

    Args:
        tokenizer: with a chat template where prompts are messages.
        prompts: texts or message lists.
        max_tokens: of a longer prompt only the last so many tokens are kept; None keeps all.

    Raises:
        DataFormatError: the prompts are messages and the tokenizer has no chat template.
    """
    encoded = [_encode(tokenizer, prompt) for prompt in prompts]
    return encoded if max_tokens is None else [ids[-max_tokens:] for ids in encoded]


def batches_by_length(encoded: Sequence[list[int]], batch_size: int) -> list[list[int]]:
    """The rows of each batch: longest prompts first, so that a batch too large for the memory fails at once.

    Raises:
        InvalidInputError: `batch_size` is below 1.

    Example:
        >>> batches_by_length([[1], [1, 2, 3], [1, 2]], batch_size=2)
        [[1, 2], [0]]
    """
    if batch_size < 1:
        raise InvalidInputError(f"`batch_size` must be at least 1, got {batch_size}.")
    order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def new_tokens_that_fit(context: int | None, encoded: Sequence[list[int]], max_new_tokens: int) -> int:
    """The longest completion that fits into the context behind every prompt, at most `max_new_tokens`.

    One number for all prompts: with a limit per batch, a completion would depend on who shares its batch.

    Args:
        context: most tokens of prompt and completion together; None for any.
        encoded: token ids of the prompts.
        max_new_tokens: longest completion asked for, in tokens.

    Raises:
        InvalidInputError: `max_new_tokens` is below 1.
        DataFormatError: a prompt fills the context alone.

    Example:
        >>> new_tokens_that_fit(100, [[0] * 30, [0] * 60], 64)
        40
    """
    if max_new_tokens < 1:
        raise InvalidInputError(f"`max_new_tokens` must be at least 1, got {max_new_tokens}.")
    if context is None or not encoded:
        return max_new_tokens
    longest = max(range(len(encoded)), key=lambda row: len(encoded[row]))
    room = context - len(encoded[longest])
    if room < 1:
        too_long = sum(len(ids) >= context for ids in encoded)
        raise DataFormatError(
            f"The model's context has {context} tokens, and {too_long} of {len(encoded)} prompts leave no room in it: "
            f"the longest, prompt {longest}, has {len(encoded[longest])}. Use a model with a longer context."
        )
    return min(max_new_tokens, room)


def _encode(tokenizer: Any, prompt: Any) -> list[int]:
    """Token ids of one prompt."""
    if isinstance(prompt, str):
        text = prompt
        return list(tokenizer(text)["input_ids"])
    if tokenizer.chat_template is None:
        raise DataFormatError(
            "The prompts are messages, and the tokenizer has no chat template. Use a chat (instruct) model, set "
            "`tokenizer.chat_template`, or give prompts as plain text."
        )
    text = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
