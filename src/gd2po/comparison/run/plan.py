"""What is compared: methods by name, seeds, and what may not differ between them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gd2po.core import METHODS
from gd2po.errors import ConfigError, RunFolderError, did_you_mean
from gd2po.runs.files import write_text

Overrides = Mapping[str, str]

BASELINE = "gdpo"
"""What the others are compared with, unless another is named."""

EQUAL = frozenset({
    "seed", "data_seed", "full_determinism", "output_dir", "resume_from_checkpoint", "config", "model_name_or_path",
    "model_revision", "gguf_file", "dtype", "dataset_name", "dataset_config", "dataset_train_split",
    "dataset_test_split", "dataset_size", "shuffle_dataset", "reward_funcs", "reward_kwargs",
    "reward_model_name_or_path", "eval_prompts", "eval_every", "eval_dataset_name", "eval_funcs", "eval_kwargs",
    "max_steps", "num_train_epochs", "num_generations", "per_device_train_batch_size", "gradient_accumulation_steps",
    "steps_per_generation", "generation_batch_size", "num_iterations", "max_completion_length", "log_rollouts",
    "logging_steps", "logging_strategy", "html_report",
})  # fmt: skip
"""What makes a comparison fair, or its numbers readable: no method may set it."""

PLAN = "plan.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Plan:
    """A comparison as asked for."""

    config: str
    """Recipe or file that the settings come from."""
    arguments: list[str]
    """Settings of all runs from the command line, as `gd2po train` takes them."""
    settings: dict[str, Any]
    """Every field of the runs that no method changes, by name."""
    methods: dict[str, dict[str, str]]
    """Overrides of each method, in the order of the tables."""
    seeds: list[int]
    baseline: str
    steps: int
    eval_every: int
    threads: int
    """Of each run."""

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Methods and seeds, seed by seed: whatever is finished early compares all methods."""
        return [(method, seed) for seed in self.seeds for method in self.methods]


def builtin_methods() -> dict[str, dict[str, str]]:
    """Overrides of every method and variant of `METHODS`, by label.

    A variant sets every option that tells the variants apart, so that a configuration cannot turn one into another;
    options that none of them fixes, such as the threshold of gd2po-snr, are the configuration's.

    Example:
        >>> builtin_methods()["gdpo"]
        {'advantage_estimator': 'gdpo'}
    """
    found: dict[str, dict[str, str]] = {}
    for method in METHODS.values():
        found[method.name] = {"advantage_estimator": method.name}
        told = dict.fromkeys(name for options in method.variants.values() for name in options)
        for variant, options in method.variants.items():
            fixed = {name: options.get(name, method.options[name].default) for name in told}
            overrides = {name: str(value) for name, value in fixed.items() if value is not ...}
            found[f"{method.name}-{variant}"] = {"advantage_estimator": method.name, **overrides}
    return found


def method_names(text: str) -> list[str]:
    """The names in a list with commas.

    Example:
        >>> method_names("gdpo, dvao,")
        ['gdpo', 'dvao']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def choose_methods(names: Sequence[str], own: Sequence[str]) -> dict[str, dict[str, str]]:
    """The overrides of the methods that are named, and of the user's own.

    Args:
        names: of built-in methods.
        own: `name:key=value,key=value` each; a value may hold commas, and blanks between the items of a list.

    Raises:
        ConfigError: an unknown, repeated or malformed method, or one that changes what has to be equal.

    Example:
        >>> choose_methods(["gdpo"], ["half:advantage_estimator=gd2po,snr_threshold=0.5"])["half"]
        {'advantage_estimator': 'gd2po', 'snr_threshold': '0.5'}
    """
    chosen: dict[str, dict[str, str]] = {}
    own_methods = [parse_method(text) for text in own]
    known = builtin_methods()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"`methods`: there is no method {name!r}. {hint} A method of your own is name:key=value.")
        _add(chosen, name, known[name])
    for name, overrides in own_methods:
        if name in known:
            raise ConfigError(f"`own_methods`: {name!r} is a built-in method. Give yours another name.")
        _add(chosen, name, overrides)
    if len(chosen) < 2:
        raise ConfigError("`methods` needs at least two methods to compare, such as gdpo,gd2po-snr.")
    return chosen


def _add(chosen: dict[str, dict[str, str]], name: str, overrides: dict[str, str]) -> None:
    # Folders carry the names, and not every file system tells letters' cases apart.
    if name.casefold() in {known.casefold() for known in chosen}:
        raise ConfigError(f"Two methods are named {name!r}. Leave one out, or give yours another name.")
    chosen[name] = overrides


def parse_method(text: str) -> tuple[str, dict[str, str]]:
    """Name and overrides of a method of the user's own; `method` is short for `advantage_estimator`.

    Raises:
        ConfigError: not `name:key=value,...`, or a key that has to be equal in all methods.

    Example:
        >>> parse_method("weighted:advantage_estimator=gdpo,reward_weights=1 0.5")
        ('weighted', {'advantage_estimator': 'gdpo', 'reward_weights': '1 0.5'})
    """
    name, colon, rest = text.partition(":")
    # A comma ends a value only where another key follows: values may be JSON.
    parts = re.split(r",(?=\s*\w+=)", rest)
    pairs = [part.partition("=") for part in parts]
    if not colon or not all(key.strip() and sign for key, sign, _ in pairs):
        raise ConfigError(f"`own_methods` must be name:key=value,key=value: got {text!r}.")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "`own_methods`: a name, which becomes a folder, has at most 64 letters, digits, dots, dashes and "
            f"underscores: got {name!r}."
        )
    overrides: dict[str, str] = {}
    for key, _, value in pairs:
        key = key.strip().replace("-", "_")
        key = "advantage_estimator" if key == "method" else key
        if key in EQUAL:
            raise ConfigError(
                f"The method {name!r} sets `{key}`, which has to be equal in all methods: otherwise their results say "
                "nothing about the methods. Set it for all runs, outside the method."
            )
        if key in overrides:
            raise ConfigError(f"The method {name!r} sets `{key}` twice.")
        overrides[key] = value.strip()
    return name, overrides


def parse_seeds(text: str) -> list[int]:
    """Seeds: numbers and ranges with commas between them.

    Raises:
        ConfigError: malformed, empty, or a seed given twice.

    Example:
        >>> parse_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ConfigError(f"`seeds` needs numbers and ranges from low to high, like 0-4 or 0,1,7: got {text!r}.")
        if last >= 2**32:
            raise ConfigError(f"`seeds` must be below 2^32: got {last}.")
        for seed in range(first, last + 1):
            if seed in seeds:
                raise ConfigError(f"`seeds` has {seed} twice: {text!r}. The same run again is no further evidence.")
            seeds.append(seed)
    return seeds


def choose_baseline(name: str | None, methods: Mapping[str, Overrides]) -> str:
    """The method that the others are compared with: gdpo, or the first where it is not compared.

    Raises:
        ConfigError: the one that is named is not compared.
    """
    if name is None:
        return BASELINE if BASELINE in methods else next(iter(methods))
    if name not in methods:
        raise ConfigError(f"`baseline` must be one of the methods compared: {', '.join(methods)}; got {name!r}.")
    return name


def refuse_same_settings(resolved: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise if two methods are the same settings, which would look like evidence that they are equal.

    Args:
        resolved: every field of each method's runs.

    Raises:
        ConfigError: names the two.
    """
    seen: dict[str, str] = {}
    for name, settings in resolved.items():
        key = json.dumps(settings, sort_keys=True, default=str)
        if key in seen:
            raise ConfigError(
                f"Methods {seen[key]!r} and {name!r} are the same settings here. Leave one out, or set apart what "
                "they leave to the configuration, such as `snr_threshold`."
            )
        seen[key] = name


def read_plan(folder: Path) -> Plan | None:
    """The plan of the comparison in a folder; None where there is none.

    Raises:
        RunFolderError: there is a plan that cannot be read.
    """
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunFolderError(
            f"{path} is not the plan of a comparison ({error}). Choose another `output_dir`."
        ) from error


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan in one go: a folder has it or not."""
    write_text(folder / PLAN, json.dumps(asdict(plan), indent=1, ensure_ascii=False) + "\n")


def require_same_comparison(folder: Path, new: Plan, old: Plan) -> None:
    """Raise unless the new plan goes on with the old one: the same settings, and at least its methods and seeds.

    Raises:
        RunFolderError: says what differs and the way out.
    """
    differs = []
    for key in sorted(new.settings.keys() | old.settings.keys()):
        before, now = old.settings.get(key), new.settings.get(key)
        if before != now:
            differs.append(f"{key} is {now!r} and was {before!r}")
    if new.threads != old.threads:
        differs.append(f"threads is {new.threads} and was {old.threads}")
    for name, overrides in old.methods.items():
        if name not in new.methods:
            differs.append(f"method {name} is missing")
        elif new.methods[name] != overrides:
            differs.append(f"method {name} is {new.methods[name]} and was {overrides}")
    differs += [f"seed {seed} is missing" for seed in old.seeds if seed not in new.seeds]
    if differs:
        more = f", and {len(differs) - 3} more" if len(differs) > 3 else ""
        raise RunFolderError(
            f"{folder} holds another comparison: {'; '.join(differs[:3])}{more}. Choose another `output_dir`. The same "
            "command as before resumes the old one, and more methods or seeds may be added to it."
        )
