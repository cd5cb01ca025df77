"""Small reward models on disk: real checkpoints with a head, of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, PreTrainedConfig, Qwen2Config, Qwen2ForSequenceClassification, Qwen2Model

from gd2po.data import builtin_model

BUILTIN = builtin_model("builtin:toolcalls")


def config(**options: Any) -> PreTrainedConfig:
    return Qwen2Config(
        vocab_size=1616, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, **options,
    )  # fmt: skip


def save_tokenizer(folder: Path, **changes: Any) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN)
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_score_head(folder: Path, *, seed: int = 0, **extra: torch.Tensor) -> tuple[Qwen2Model, torch.Tensor]:
    """The published architecture: `model.*` and `score_head.weight`."""
    torch.manual_seed(seed)
    body = Qwen2Model(config(architectures=["Qwen2RewardModel"])).eval()
    head = torch.randn(1, 32)
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in body.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**tensors, "score_head.weight": head, **extra}, folder / "model.safetensors", metadata={"format": "pt"})
    body.config.save_pretrained(folder)
    save_tokenizer(folder)
    return body, head


def save_classifier(folder: Path, *, num_labels: int = 1, **shards: Any) -> Qwen2ForSequenceClassification:
    torch.manual_seed(1)
    model = Qwen2ForSequenceClassification(config(num_labels=num_labels, pad_token_id=0)).eval()
    model.save_pretrained(folder, **shards)
    save_tokenizer(folder)
    return model
