"""Completions of a list of prompts, greedy or sampled, in batches of prompts of like length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gd2po.errors import DataFormatError


@torch.no_grad()
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
    encoded = [_encode(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
    completions = [""] * len(encoded)
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature > 0:
        sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    was_training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, padding_side="left", return_tensors="pt")
        batch = batch.to(model.device)
        output = model.generate(**batch, max_new_tokens=max_new_tokens, pad_token_id=tokenizer.pad_token_id, **sampling)
        texts = tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, text in zip(rows, texts, strict=True):
            completions[row] = text
        if on_batch is not None:
            on_batch(len(rows))
    model.train(was_training)
    return completions


def _encode(tokenizer: Any, prompt: Any) -> list[int]:
    """Token ids of a prompt; messages through the chat template, ready for the assistant's turn."""
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
