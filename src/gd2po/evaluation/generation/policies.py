"""Policies by path or hub id, behind transformers or vLLM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from gd2po.errors import ConfigError, DataFormatError, InvalidInputError, MissingDependencyError
from gd2po.evaluation.generation.generate import Policy, TransformersPolicy

BACKENDS: Final = ("transformers", "vllm")


class VllmPolicy:
    """A model served by vLLM in this process, as a `Policy`.

    Args:
        engine: a `vllm.LLM`.
        sampling: makes vLLM's `SamplingParams` from keywords.
        temperature: 0 takes the likeliest token, above 0 samples from the whole distribution.
        seed: of the samples.
    """

    def __init__(self, engine: Any, sampling: Any, *, temperature: float = 0.0, seed: int = 0) -> None:
        self.engine = engine
        self.tokenizer = engine.get_tokenizer()
        self.context: int | None = engine.llm_engine.model_config.max_model_len
        self._sampling = sampling
        self._options = {"temperature": temperature, "seed": seed, "skip_special_tokens": True}

    def complete(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[str]:
        """The completions of one batch; vLLM schedules it as its memory allows."""
        requests = [{"prompt_token_ids": ids} for ids in prompts]
        options = self._sampling(max_tokens=max_new_tokens, **self._options)
        return [result.outputs[0].text for result in self.engine.generate(requests, options, use_tqdm=False)]


def load_policy(
    model_name_or_path: str,
    *,
    backend: str = "transformers",
    gguf_file: str | None = None,
    model_revision: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
) -> Policy:
    """The model with its tokenizer, ready to generate.

    Args:
        model_name_or_path: folder or hub id of a causal language model.
        backend: "transformers", or "vllm" for a GPU with vLLM installed.
        gguf_file: file in that folder, for weights in GGUF (transformers only).
        model_revision: branch, tag or commit of a hub id.
        dtype: "auto" for that of the checkpoint, or "float32", "bfloat16", "float16".
        device: such as "cuda:1" or "cpu"; None for the first GPU, or the CPU without one (transformers only).
        trust_remote_code: run code that comes with the model.
        temperature: 0 takes the likeliest token, above 0 samples from the whole distribution.
        seed: of the samples, so that the same prompts in the same batches get the same ones.

    Raises:
        InvalidInputError: an unknown backend, an option that it does not have, or a temperature below 0.
        MissingDependencyError: the backend is not installed.
        ConfigError: the model cannot be loaded.
        DataFormatError: the tokenizer knows neither a pad nor an end token.
    """
    if backend not in BACKENDS:
        raise InvalidInputError(f"`backend` must be 'transformers' or 'vllm', got {backend!r}.")
    if not 0.0 <= temperature < math.inf:
        raise InvalidInputError(f"`temperature` must be 0, for greedy outputs, or above, got {temperature}.")
    sampling = {"temperature": temperature, "seed": seed}
    if backend == "vllm":
        if gguf_file is not None or device is not None:
            option = "gguf_file" if gguf_file is not None else "device"
            raise InvalidInputError(f"`{option}` goes with the backend transformers only. Leave it out for vllm.")
        return _load_vllm(
            model_name_or_path, sampling, revision=model_revision, dtype=dtype, trust_remote_code=trust_remote_code
        )
    return _load_transformers(
        model_name_or_path,
        sampling,
        device=device,
        dtype=dtype,
        common={"revision": model_revision, "trust_remote_code": trust_remote_code}
        | ({"gguf_file": gguf_file} if gguf_file is not None else {}),
    )


def load_tokenizer(model: str, **options: Any) -> Any:
    """The tokenizer of a model; out of a GGUF file with the end of a turn that the file names.

    Args:
        model: folder or hub id.
        **options: keywords of transformers' `AutoTokenizer.from_pretrained`, such as `gguf_file`.

    Raises:
        OSError: there is no such tokenizer.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, **options)
    if options.get("gguf_file") is not None:
        # transformers reads the special tokens into the configuration, and leaves the tokenizer with others: SmolLM2's
        # ends with <|im_start|>, which a trainer would write into the policy that it saves.
        found = {name: options[name] for name in ("gguf_file", "revision", "trust_remote_code") if name in options}
        config = AutoConfig.from_pretrained(model, **found)
        for token in ("bos_token", "eos_token", "pad_token"):
            number = getattr(config, f"{token}_id", None)
            if number is not None:
                setattr(tokenizer, token, tokenizer.convert_ids_to_tokens(number))
    return tokenizer


def _load_transformers(
    model: str, sampling: dict[str, Any], *, device: str | None, dtype: str, common: dict[str, Any]
) -> TransformersPolicy:
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise MissingDependencyError(f"Evaluation needs {error.name}: pip install 'gd2po[trl]'.") from error
    try:
        tokenizer = load_tokenizer(model, **common)
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, use_safetensors=True, **common)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"`model_name_or_path`: cannot load {model!r}: {error} Give the folder or the hub id of a causal language "
            "model."
        ) from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise DataFormatError(f"The tokenizer of {model} has neither a pad nor an end token. Set one of them.")
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked: any token will do
    loaded.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return TransformersPolicy(loaded, tokenizer, **sampling)


def _load_vllm(
    model: str, sampling: dict[str, Any], *, revision: str | None, dtype: str, trust_remote_code: bool
) -> VllmPolicy:
    try:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(
            f"`backend`: 'vllm' needs vLLM ({error}): pip install vllm, preferably into its own environment. Or leave "
            "`backend` out: transformers gives the same outputs, slower."
        ) from error
    engine = LLM(model=model, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code, seed=0)
    return VllmPolicy(engine, SamplingParams, **sampling)
