"""What the built-in task is scored with: the rewards of the run that trained the policy, or the task's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gd2po.data.toolcalls.task import Level
from gd2po.errors import ConfigError, did_you_mean
from gd2po.rewards import configure, exact_calls
from gd2po.rewards.registry import EVAL_FUNCS, REWARD_FUNCS, load_eval_func, load_reward_func
from gd2po.runs.folder import CONFIG, read_config
from gd2po.runs.spellings import options_by_function

TARGET_WORDS = 32.0
"""Words of thought from which on the length reward is 1, where neither the call nor a run says otherwise."""

_LEVELS: Mapping[str, Level] = {"builtin:toolcalls": "all", "builtin:toolcalls-easy": "easy"}
_OWN_REWARDS = ("tool_call_correctness", "tool_call_format", "think_length")


@dataclass(frozen=True)
class Scoring:
    """Prompts and functions of an evaluation of the built-in task."""

    level: Level
    """Of the prompts."""
    reward_funcs: list[Callable[..., Any]]
    eval_funcs: list[Callable[..., Any]]
    target_words: float | None
    """Of `think_length`; None where it is none of the rewards."""
    max_completion_length: int | None
    """The run's, in tokens; None for the benchmark's."""
    notes: list[str]
    """What a reader of the scores should know."""


def scoring_of(model: str | None, reward_kwargs: Any = None) -> Scoring:
    """What a policy is scored with.

    Args:
        model: its folder, hub id or built-in name; None for outputs made elsewhere. In the folder of a run on the
            built-in task, rewards, options, prompts and longest completion are those of its config.yaml. Rewards that
            are not gd2po's own are named in the notes and not imported: a folder may come from anybody.
        reward_kwargs: options of the rewards that differ from the run's, as `gd2po train` takes them.

    Raises:
        ConfigError: options that make no sense, or of a function that is none of the rewards.
        DataFormatError: the folder's config.yaml cannot be read.
        InvalidInputError: a reward has no such option.
    """
    config = (read_config(Path(model)) if model else None) or {}
    if config.get("dataset_name") not in _LEVELS or not isinstance(config.get("reward_funcs"), list):
        config = {}
    known = [str(name) for name in config.get("reward_funcs") or _OWN_REWARDS if name in REWARD_FUNCS]
    left_out = [str(name) for name in config.get("reward_funcs") or () if name not in REWARD_FUNCS]
    of_run = options_by_function(config.get("reward_kwargs") or {})
    kwargs = {name: values for name, values in of_run.items() if name in known}
    for name, values in options_by_function(reward_kwargs or {}).items():
        if name not in known:
            raise ConfigError(f"`reward_kwargs` names {name!r}, which is not scored. {did_you_mean(name, known)}")
        kwargs[name] = {**kwargs.get(name, {}), **values}
    if "think_length" in known:
        kwargs["think_length"] = {"target_words": TARGET_WORDS, **kwargs.get("think_length", {})}
    eval_kwargs = options_by_function(config.get("eval_kwargs") or {}, "eval_kwargs")
    others = [str(name) for name in config.get("eval_funcs") or () if name in EVAL_FUNCS and name != "exact_calls"]
    notes = [f"Rewards, their options and prompts are those of {Path(str(model)) / CONFIG}."] if config else []
    if left_out:
        notes.append(f"Not scored, since they are code of the run's own: {', '.join(left_out)}.")
    return Scoring(
        level=_LEVELS[config.get("dataset_name", "builtin:toolcalls")],
        reward_funcs=[configure(load_reward_func(name), **kwargs.get(name, {})) for name in known],
        eval_funcs=[
            exact_calls,
            *(configure(load_eval_func(name), **eval_kwargs.get(name, {})) for name in others if name not in known),
        ],
        target_words=_number(kwargs["think_length"]["target_words"]) if "think_length" in known else None,
        max_completion_length=config.get("max_completion_length"),
        notes=notes,
    )


def _number(target_words: Any) -> float:
    """The option of the length reward, which would only fail in its scoring."""
    if isinstance(target_words, bool) or not isinstance(target_words, (int, float)):
        raise ConfigError(f"`reward_kwargs`: think_length.target_words must be a number: got {target_words!r}.")
    return float(target_words)
