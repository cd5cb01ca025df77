"""Helpfulness and harmlessness as reward functions with options, for recipes: `gd2po.rewards.safety.helpfulness`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gd2po.rewards.models.reward_model import loaded_reward_model
from gd2po.rewards.protocol import Completion, Message


def helpfulness(
    completions: Sequence[Completion],
    prompts: Sequence[str | Sequence[Message]],
    *,
    model: str = "Artessay/Qwen2.5-7B-SafeRLHF-RM",
    device: str | None = None,
    dtype: str = "auto",
    batch_size: int = 8,
    max_length: int = 2048,
    offload: bool = False,
    **kwargs: Any,
) -> list[float]:
    """How helpful each completion is to its prompt, by a reward model; loaded at the first call.

    Args:
        completions: N strings or message lists.
        prompts: N strings or message lists.
        model: folder or hub id of the reward model.
        device: where it runs; None for the current GPU, or the CPU without one.
        dtype: "auto" for that of the checkpoint, or "float32", "bfloat16", "float16".
        batch_size: conversations scored together.
        max_length: most tokens of a conversation; of a longer one the end is read.
        offload: keep the model in the CPU's memory between uses.
        **kwargs: other columns and TRL's own keywords; not used.

    Returns:
        N scores, in the model's own unit; higher is more helpful.

    Raises:
        ConfigError: the model cannot be loaded, or was loaded before with other options.

    Source: GD²PO (arXiv:2606.16771), reward `useful` of the safety runs.
    """
    options = {"device": device, "dtype": dtype, "batch_size": batch_size, "max_length": max_length, "offload": offload}
    return loaded_reward_model(model, "helpfulness", **options)(completions, prompts)


def harmlessness(
    completions: Sequence[Completion],
    prompts: Sequence[str | Sequence[Message]],
    *,
    model: str = "Artessay/Qwen2.5-7B-SafeRLHF-CM",
    device: str | None = None,
    dtype: str = "auto",
    batch_size: int = 8,
    max_length: int = 2048,
    offload: bool = False,
    **kwargs: Any,
) -> list[float]:
    """How harmless each completion is, by a reward model; loaded at the first call.

    Args:
        completions: N strings or message lists.
        prompts: N strings or message lists.
        model: folder or hub id of the reward model. The published one is a cost model by name whose score is used as
            it is: higher is safer.
        device: where it runs; None for the current GPU, or the CPU without one.
        dtype: "auto" for that of the checkpoint, or "float32", "bfloat16", "float16".
        batch_size: conversations scored together.
        max_length: most tokens of a conversation; of a longer one the end is read.
        offload: keep the model in the CPU's memory between uses.
        **kwargs: other columns and TRL's own keywords; not used.

    Returns:
        N scores, in the model's own unit; higher is safer.

    Raises:
        ConfigError: the model cannot be loaded, or was loaded before with other options.

    Source: GD²PO (arXiv:2606.16771), reward `harmless` of the safety runs.
    """
    options = {"device": device, "dtype": dtype, "batch_size": batch_size, "max_length": max_length, "offload": offload}
    return loaded_reward_model(model, "harmlessness", **options)(completions, prompts)
