"""What the names in a run's arguments stand for: prompts, rewards, model, tokenizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gd2po.data import builtin_model, has_splits, load_prompts, require_columns
from gd2po.errors import ConfigError, did_you_mean
from gd2po.evaluation.generation import policies
from gd2po.evaluation.generation.generate import encode_prompts
from gd2po.integrations.trl.reward_settings import check_rewards, reward_name
from gd2po.rewards import REWARD_FUNCS, callable_name, configure, load_eval_func, load_reward_func
from gd2po.runs.spellings import options_by_function
from gd2po.training.arguments import ParsedRun, RunArguments
from gd2po.training.dropped import logged_name
from gd2po.training.refusals import in_one_line


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
    return _bound("reward", run.reward_funcs, run.reward_kwargs, load_reward_func)


def require_settings_of_these(parsed: ParsedRun, reward_funcs: list[Any]) -> None:
    """Raise unless weights, families, conditions and the method go with the rewards: before a model is loaded.

    Raises:
        ConfigError: a name of no reward, or another number of weights.
        InvalidInputError: weights or numbers per reward that the method does not take.
    """
    names = [reward_name(func) for func in [*reward_funcs, *(parsed.run.reward_model_name_or_path or [])]]
    check_rewards(parsed.training.with_weights_in_order(names), names, len(names))


def load_eval_funcs(run: RunArguments, reward_funcs: list[Any]) -> list[Any]:
    """The functions to score held-out prompts with beside the rewards, with their options bound.

    Args:
        run: names them.
        reward_funcs: that the run trains on. Scores go by name, so no evaluation function may share one of theirs.

    Raises:
        ConfigError: there is no such function, or two have one name.
        InvalidInputError: a function does not have an option that it is given.
    """
    eval_funcs = _bound("eval", run.eval_funcs, run.eval_kwargs, load_eval_func)
    rewards, seen = {callable_name(func) for func in reward_funcs}, set()
    for name in map(callable_name, eval_funcs):
        if name in rewards:
            raise ConfigError(
                f"`eval_funcs`: {name!r} is also the name of a reward function, and rewards are scored on the held-out "
                "prompts anyway. Leave it out of `eval_funcs`, or rename it if it is another function."
            )
        if name in seen:
            raise ConfigError(f"`eval_funcs`: {name!r} is the name of two functions. Leave one out, or rename it.")
        seen.add(name)
    return eval_funcs


def require_readable(eval_funcs: list[Any], prompts: Any) -> None:
    """Raise if a function reads a column that the held-out prompts do not have: before training, not in its scoring.

    Raises:
        ConfigError: there is one.
    """
    if prompts is None:
        return
    given = {"prompts", "completions", *prompts.column_names} - {"prompt"}
    for func in eval_funcs:
        for parameter in inspect.signature(func).parameters.values():
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.default is parameter.empty and parameter.name not in given:
                columns = ", ".join(f"`{name}`" for name in prompts.column_names)
                raise ConfigError(
                    f"`eval_funcs`: {callable_name(func)!r} needs the column `{parameter.name}` of the held-out "
                    f"prompts, which have {columns}. Add it, or name another function."
                )


def _bound(kind: str, names: list[str] | None, options: Any, load: Callable[[str], Any]) -> list[Any]:
    """The functions of `<kind>_funcs`, with the options of `<kind>_kwargs` bound."""
    if isinstance(names, str):  # out of a YAML file
        raise ConfigError(f"`{kind}_funcs` must be a list: got {names!r}. Write [{names}].")
    names = names or []
    by_name: dict[str, dict[str, Any]] = {}
    for written, values in options_by_function(options or {}, f"{kind}_kwargs").items():
        name = _named(written, names, kind)
        if name in by_name:
            raise ConfigError(f"`{kind}_kwargs` has {name!r} twice, once without its module. Leave one out.")
        by_name[name] = values
    return [configure(load(name), **by_name[name]) if name in by_name else load(name) for name in names]


def _named(written: str, names: list[str], kind: str) -> str:
    """The one of the names that is meant: in full, or without its module as in logs."""
    meant = [name for name in names if written == logged_name(name)]
    if written not in names and len(meant) != 1:
        hint = did_you_mean(written, [*names, *map(logged_name, names)], f"There are: {', '.join(names)}.")
        raise ConfigError(
            f"`{kind}_kwargs` names {written!r}, which is not among `{kind}_funcs`"
            + (f". {hint}" if names else ": it names none.")
        )
    return written if written in names else meant[0]


def model_path(parsed: ParsedRun) -> str:
    """Where the model comes from: a path or hub id, the built-in policy's folder for its name."""
    name = parsed.model.model_name_or_path
    if name is None:
        raise ConfigError("`model_name_or_path` is missing: name a model, such as builtin:toolcalls.")
    path = builtin_model(name)
    _require_weights(path, parsed.run.gguf_file)
    return path


def _require_weights(path: str, gguf_file: str | None) -> None:
    """Raise for a folder that is none or holds no model, of which transformers speaks as of a broken download."""
    folder = Path(path).expanduser()
    if not folder.exists():
        if path.startswith((".", "/", "~")):
            raise ConfigError(f"`model_name_or_path`: there is no folder {path!r}.")
        return
    if not folder.is_dir():
        raise ConfigError(f"`model_name_or_path` must be a folder or a hub id: {path!r} is a file.{_gguf_hint(folder)}")
    ggufs = sorted(file.name for file in folder.glob("*.gguf"))
    if gguf_file:
        if not (folder / gguf_file).is_file():
            there = f"there are: {', '.join(ggufs)}" if ggufs else "it holds no file in GGUF"
            raise ConfigError(f"`gguf_file`: {path} holds no {gguf_file!r}; {there}.")
    elif ggufs and not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"`model_name_or_path`: {path} holds weights in GGUF. Name the file in `gguf_file`: {ggufs[0]}."
        )
    elif not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        raise ConfigError(f"`model_name_or_path`: {path} holds no model: it has no config.json.")


def _gguf_hint(file: Path) -> str:
    """How to name a GGUF file that stands where its folder belongs."""
    if file.suffix != ".gguf":
        return ""
    return f" Name its folder, {file.parent}, and the file in `gguf_file`: {file.name}."


def model_init_kwargs(parsed: ParsedRun) -> dict[str, Any]:
    """Keywords for loading the model, as TRL's own script passes them; `model_init_kwargs` of the user win."""
    kwargs: dict[str, Any] = {
        "revision": parsed.model.model_revision,
        "attn_implementation": parsed.model.attn_implementation,
        "dtype": parsed.model.dtype,
        "use_safetensors": True,
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
    with in_one_line(f"`gguf_file`: cannot load {kwargs['gguf_file']}"):
        return create_model_from_path(
            path, AutoModelForCausalLM, trust_remote_code=parsed.training.trust_remote_code, **kwargs
        )


def load_tokenizer(path: str, parsed: ParsedRun) -> Any:
    """The tokenizer as TRL loads it, except that TRL cannot read one out of a GGUF file."""
    kwargs = model_init_kwargs(parsed)
    with in_one_line(f"`model_name_or_path`: cannot load {path!r}"):
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
            "with a longer context, or remove the long prompts."
        )


def _characters(prompt: Any) -> int:
    """Length of a prompt's texts."""
    return len(prompt) if isinstance(prompt, str) else sum(len(str(message["content"])) for message in prompt)
