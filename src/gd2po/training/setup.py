"""What the names in a run's arguments stand for: prompts, rewards, model, tokenizer."""

from __future__ import annotations

import json
from typing import Any

from gd2po.data import builtin_model, has_splits, load_prompts, require_columns
from gd2po.errors import ConfigError
from gd2po.evaluation.generation import policies
from gd2po.evaluation.generation.generate import encode_prompts
from gd2po.rewards import REWARD_FUNCS, configure, load_reward_func
from gd2po.training.arguments import ParsedRun, RunArguments


def load_train_prompts(run: RunArguments) -> Any:
    """The prompts to train on."""
    if run.dataset_name is None:
        raise ConfigError("`dataset_name` is missing: name the prompts, such as builtin:toolcalls.")
    return _load_split(run, run.dataset_name, run.dataset_train_split, run.dataset_size)


def load_held_out_prompts(run: RunArguments) -> Any:
    """The prompts to score before and after training; None if the run wants none."""
    if run.eval_prompts == 0:
        return None
    source = run.eval_dataset_name or run.dataset_name or ""
    if run.eval_dataset_name is None and not has_splits(source):
        raise ConfigError(
            f"`eval_prompts` needs prompts that are not trained on, and {source} has no splits: name a file of them "
            "in `eval_dataset_name`, or set `eval_prompts` to 0."
        )
    return _load_split(run, source, run.dataset_test_split, run.eval_prompts)


def _load_split(run: RunArguments, source: str, split: str, size: int | None) -> Any:
    dataset = load_prompts(source, split, config=run.dataset_config, size=size)
    require_columns(dataset, ["prompt"], source)
    return dataset


def load_reward_funcs(run: RunArguments) -> list[Any]:
    """The reward functions, with their options bound."""
    if not run.reward_funcs and not run.reward_model_name_or_path:
        raise ConfigError(
            f"`reward_funcs` is missing: name reward functions, e.g. {' '.join(REWARD_FUNCS)}, or your own as "
            "my_module.my_function, or a `reward_model_name_or_path`."
        )
    options = run.reward_kwargs or {}
    if isinstance(options, str):
        try:
            options = json.loads(options)
        except json.JSONDecodeError as error:
            raise ConfigError(f"`reward_kwargs` must be a JSON object: {error}.") from error
    names = run.reward_funcs or []
    for name in options:
        if name not in names:
            raise ConfigError(f"`reward_kwargs` names {name!r}, which is not among `reward_funcs`: {', '.join(names)}.")
    loaded = {name: load_reward_func(name) for name in names}
    return [configure(func, **options[name]) if name in options else func for name, func in loaded.items()]


def model_path(parsed: ParsedRun) -> str:
    """Where the model comes from: a path or hub id, the built-in policy's folder for its name."""
    name = parsed.model.model_name_or_path
    if name is None:
        raise ConfigError("`model_name_or_path` is missing: name a model, such as builtin:toolcalls.")
    return builtin_model(name)


def model_init_kwargs(parsed: ParsedRun) -> dict[str, Any]:
    """Keywords for loading the model, as TRL's own script passes them; `model_init_kwargs` of the user win."""
    kwargs: dict[str, Any] = {
        "revision": parsed.model.model_revision,
        "attn_implementation": parsed.model.attn_implementation,
        "dtype": parsed.model.dtype,
    }
    if parsed.run.gguf_file:
        kwargs["gguf_file"] = parsed.run.gguf_file
    own = parsed.training.model_init_kwargs
    return {**kwargs, **(own if isinstance(own, dict) else {})}


def load_model(path: str, parsed: ParsedRun) -> Any:
    """The model as the trainer takes it: its path, for TRL to load; weights in GGUF loaded, since TRL cannot.

    Leaves in `parsed.training.model_init_kwargs` what TRL has to know for that.
    """
    kwargs = model_init_kwargs(parsed)
    if "gguf_file" not in kwargs:
        parsed.training.model_init_kwargs = kwargs
        return path
    if getattr(parsed.training, "beta", 0.0) != 0.0 and not parsed.model.use_peft:
        raise ConfigError(
            "`beta` needs the reference model, which TRL cannot read out of a GGUF file: set beta to 0, use LoRA "
            "(`use_peft`), or save the model as safetensors first and leave `gguf_file` out."
        )
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import create_model_from_path

    parsed.training.model_init_kwargs = None
    return create_model_from_path(
        path, AutoModelForCausalLM, trust_remote_code=parsed.training.trust_remote_code, **kwargs
    )


def load_tokenizer(path: str, parsed: ParsedRun) -> Any:
    """The tokenizer as TRL loads it, except that TRL cannot read one out of a GGUF file."""
    kwargs = model_init_kwargs(parsed)
    return policies.load_tokenizer(
        path,
        revision=kwargs["revision"],
        padding_side="left",
        truncation_side="left",
        trust_remote_code=parsed.training.trust_remote_code,
        **({"gguf_file": kwargs["gguf_file"]} if "gguf_file" in kwargs else {}),
    )


def require_room(prompts: Any, model: Any, tokenizer: Any) -> None:
    """Raise if a prompt fills the model's context, of which TRL and the model would say nothing.

    Looks at the prompts with the most characters: all of a large data set would take minutes.

    Raises:
        ConfigError: there is one.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = sorted(prompts, key=lambda prompt: -_characters(prompt))[:16]
    tokens = max(map(len, encode_prompts(tokenizer, longest)))
    if context is not None and tokens >= context:
        raise ConfigError(
            f"The model's context has {context} tokens, and a prompt of {tokens} leaves no room in it. Use a model "
            "with a longer context, or take the long prompts out."
        )


def _characters(prompt: Any) -> int:
    """Length of a prompt's texts."""
    return len(prompt) if isinstance(prompt, str) else sum(len(str(message["content"])) for message in prompt)
