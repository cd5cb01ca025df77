"""The policy of an evaluation and how it generates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from gd2po.errors import InvalidInputError

LONGEST_COMPLETION: Final[Mapping[str, int]] = MappingProxyType({"api-bank": 4096, "toolcalls": 128, "safety": 1024})
"""Tokens of the longest completion of each benchmark, unless the policy says otherwise."""

SAFETY_PROMPT_TOKENS: Final = 512
"""Of a longer prompt of the safety evaluation only the last so many tokens are read, as in the paper's."""


@dataclass(frozen=True)
class PolicyChoice:
    """The policy to evaluate, and how it generates.

    Args:
        model_name_or_path: folder or hub id of a causal language model, or `builtin:toolcalls`.
        backend: "transformers", or "vllm" for a GPU with vLLM installed.
        gguf_file: file in that folder, for weights in GGUF (transformers only).
        model_revision: branch, tag or commit of a hub id.
        dtype: "auto" for that of the checkpoint, or "float32", "bfloat16", "float16".
        device: such as "cuda:1" or "cpu"; None for the first GPU, or the CPU without one (transformers only).
        trust_remote_code: run code that comes with the model.
        max_completion_length: longest completion, in tokens; None for the benchmark's, in `LONGEST_COMPLETION`.
        max_prompt_tokens: of a longer prompt only the last so many tokens are read; None reads all.
        batch_size: prompts generated together; None for 16, or 512 with vLLM.
        temperature: 0 takes the likeliest token, above 0 samples from the whole distribution.
        seed: of the samples.

    Raises:
        InvalidInputError: a length or a size is below 1. What a backend does not take is said when it loads.

    Example:
        >>> PolicyChoice("builtin:toolcalls", device="cpu").batch_size is None
        True
    """

    model_name_or_path: str
    backend: str = "transformers"
    gguf_file: str | None = None
    model_revision: str | None = None
    dtype: str = "auto"
    device: str | None = None
    trust_remote_code: bool = False
    max_completion_length: int | None = None
    max_prompt_tokens: int | None = None
    batch_size: int | None = None
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_completion_length", "max_prompt_tokens", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInputError(f"`{name}` must be at least 1, got {value}.")

    @property
    def path(self) -> str:
        """Folder or hub id; the folder of a built-in policy for its name."""
        from gd2po.data import builtin_model

        return builtin_model(self.model_name_or_path)

    @property
    def prompts_at_once(self) -> int:
        """The batch size, or the backend's."""
        return self.batch_size or (512 if self.backend == "vllm" else 16)

    def settings(self, prompts: Any) -> dict[str, Any]:
        """What the outputs depend on. Where and in which batches they are generated may change from call to call."""
        from gd2po.evaluation.generation.runs import fingerprint, model_fingerprint

        chosen = {key: value for key, value in asdict(self).items() if key not in ("device", "batch_size")}
        return {**chosen, "model_state": model_fingerprint(self.path), "prompts": fingerprint(prompts)}
