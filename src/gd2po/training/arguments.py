"""Arguments of `gd2po train`: TRL's parser and conventions, with unknown keys refused by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trl import ModelConfig, SFTConfig, TrlParser

from gd2po.errors import ConfigError, GD2POError, did_you_mean
from gd2po.integrations.trl.bounds import require_meant
from gd2po.integrations.trl.config import GD2POConfig
from gd2po.recipes import read_settings, recipe_command, recipe_names, recipe_path
from gd2po.runs.spellings import KWARGS_HELP, options_by_function
from gd2po.training.dropped import without_dropped
from gd2po.training.help import help_text
from gd2po.training.refusals import is_refusal, one_line

DEFAULT_RECIPE = "quickstart"
DEFAULT_WARM_START = "warm-start"

_OF_HELD_OUT_PROMPTS = ("eval_every", "eval_funcs", "eval_kwargs")
"""What a recipe says about scoring them; it has no meaning where the command line asks for none."""

_NOT_KEPT = ("hub_token", "push_to_hub_token", "resume_from_checkpoint", "overwrite_output_dir", "dry_run")
"""Secrets, and what belongs to one invocation rather than to the run."""

_OF_SEVERAL_WORDS = ("report_to", "reward_families", "reward_kwargs", "eval_kwargs")
"""Fields that are declared as a text or something else, so that TRL's parser would take one word."""

_WRITTEN_IN_WAYS = ("reward_weights", "reward_families", "reward_conditions", "reward_kwargs", "eval_kwargs")
"""Fields that may be written in several ways, of which a run folder holds one."""


@dataclass
class RunArguments:
    """What to train on and with which rewards."""

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Prompts: builtin:toolcalls, a Parquet or JSON file or folder, a URL, or a dataset of the hub. "
            "verl's RL schema (RLLA) is recognised by its columns."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a hub dataset."})
    dataset_train_split: str = field(default="train", metadata={"help": "Split to train on."})
    dataset_test_split: str = field(default="test", metadata={"help": "Split of the held-out prompts."})
    dataset_size: int | None = field(default=None, metadata={"help": "Train on the first N prompts only."})
    reward_funcs: list[str] | None = field(
        default=None,
        metadata={
            "help": "Reward functions: tool_call_correctness, tool_call_format, think_length, or dotted import paths "
            "such as my_rewards.brevity (looked up from the current directory too)."
        },
    )
    reward_kwargs: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": f"{KWARGS_HELP}."},
    )
    eval_funcs: list[str] | None = field(
        default=None,
        metadata={
            "help": "Functions to score the held-out prompts with beside the rewards, and never to train on: "
            "exact_calls, a reward function that the run does not use, or dotted import paths."
        },
    )
    eval_kwargs: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": "Options of evaluation functions, as in reward_kwargs."},
    )
    reward_model_name_or_path: list[str] | None = field(
        default=None, metadata={"help": "Reward models beside the functions: paths or hub ids of sequence classifiers."}
    )
    gguf_file: str | None = field(
        default=None, metadata={"help": "File inside the model's folder or repository, for weights in GGUF."}
    )
    eval_prompts: int = field(
        default=0, metadata={"help": "Held-out prompts to score before and after training, greedily; 0 for none."}
    )
    eval_every: int = field(
        default=0,
        metadata={"help": "Also score them every N steps of training; 0 for before and after only."},
    )
    eval_dataset_name: str | None = field(
        default=None, metadata={"help": "Where the held-out prompts come from, if not from a split of dataset_name."}
    )
    check_rewards: bool = field(
        default=True,
        metadata={
            "help": "Try the reward functions on eight rollouts of the start policy before the first step, and refuse "
            "what can never teach."
        },
    )
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Remove the run that output_dir holds, and start anew there."}
    )
    dry_run: bool = field(
        default=False,
        metadata={"help": "Check arguments, rewards and prompts, print the settings as YAML, and train nothing."},
    )
    html_report: bool = field(
        default=True, metadata={"help": "Write report.html, the diagnosis of the rollouts, at the end."}
    )

    def __post_init__(self) -> None:
        require_meant(vars(self))
        for name in ("reward_kwargs", "eval_kwargs"):
            given = getattr(self, name)
            setattr(self, name, given if given is None else options_by_function(given, name))
        if self.eval_every and not self.eval_prompts:
            raise ConfigError("`eval_every` needs held-out prompts: set `eval_prompts` to how many.")
        if self.eval_funcs and not self.eval_prompts:
            raise ConfigError(
                "`eval_funcs` needs held-out prompts: set `eval_prompts` to how many, or leave `eval_funcs` out."
            )


@dataclass
class WarmStartArguments:
    """Which demonstrations to learn from."""

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Demonstrations: a Parquet, JSON or CSV file or URL, a folder, or a dataset of the hub, with the "
            "columns instruction, input and output, or prompt and completion, or messages."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a hub dataset."})
    dataset_train_split: str = field(default="train", metadata={"help": "Split to train on."})
    dataset_size: int | None = field(default=None, metadata={"help": "Train on the first N demonstrations only."})
    gguf_file: str | None = field(
        default=None,
        metadata={"help": "File inside the model's folder or repository, for weights in GGUF."},
    )


RUN_FIELDS = (RunArguments, GD2POConfig, ModelConfig)
"""The dataclasses whose fields are the options of `gd2po train`."""


class RunParser(TrlParser):  # type: ignore[misc]
    """TRL's parser, raising `ConfigError` instead of exiting, and remembering what it parsed."""

    resolved: dict[str, Any]

    def error(self, message: str) -> NoReturn:
        """Argparse's hook for wrong values."""
        raise ConfigError(f"{message[0].upper()}{message[1:]}. `{self.prog} --help-all` lists every field.")

    def format_help(self) -> str:
        """Argparse's hook for `--help`."""
        return help_text(self, every_field=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember the flat values, which the dataclasses no longer hold after their conversions."""
        parsed, rest = super().parse_known_args(args, namespace)
        self.resolved = dict(vars(parsed))
        return parsed, rest


@dataclass(frozen=True)
class ParsedRun:
    """A run as asked for."""

    run: RunArguments
    training: GD2POConfig
    model: ModelConfig
    recipe: str
    """Name of the recipe or path of the file; empty without one."""
    resolved: dict[str, Any]
    """Every field by name, as written to the run folder."""
    changed: dict[str, Any]
    """Those of them that are not the default."""
    notes: tuple[str, ...] = ()
    """What of the recipe was left out, in sentences."""


@dataclass(frozen=True)
class ParsedWarmStart:
    """A warm start as asked for."""

    run: WarmStartArguments
    training: SFTConfig
    model: ModelConfig
    recipe: str
    """Name of the recipe or path of the file; empty without one."""
    resolved: dict[str, Any]
    """Every field by name, as written to the run folder."""


def parse_run(argv: Sequence[str], output_dir: str) -> ParsedRun:
    """Arguments of a run: the recipe's values under those of the command line.

    Without `--config` the recipe is quickstart, unless the command line names a model or a data set of its own.

    Args:
        argv: the command line after `gd2po train`.
        output_dir: used where neither the recipe nor the command line names one; `{recipe}` in it is filled in.

    Raises:
        ConfigError: an unknown recipe, key or value.
    """
    argv, config = _take_config(list(argv))
    own_task = any(argument.split("=")[0] in _flags("model_name_or_path", "dataset_name") for argument in argv)
    if config is None and not own_task:
        config = DEFAULT_RECIPE
    unused = _OF_HELD_OUT_PROMPTS if _last_value(argv, "eval_prompts") == "0" else ()
    values = read_config(config, "train") if config else {}
    values = {key: value for key, value in values.items() if key not in unused}
    notes: list[str] = []
    rewards = _last_values(argv, "reward_funcs")
    if rewards is not None:
        values, notes = without_dropped(values, rewards)
    (run, training, model), resolved, changed = _parse(argv, config, values, RUN_FIELDS, "train", output_dir)
    return ParsedRun(run, training, model, config or "", resolved, changed, tuple(notes))


def parse_warm_start(argv: Sequence[str], output_dir: str) -> ParsedWarmStart:
    """Arguments of a warm start: the recipe's values under those of the command line; by default the recipe warm-start.

    Args:
        argv: the command line after `gd2po warm-start`.
        output_dir: used where neither the recipe nor the command line names one; `{recipe}` in it is filled in.

    Raises:
        ConfigError: an unknown recipe, key or value.
    """
    argv, config = _take_config(list(argv))
    config = config or DEFAULT_WARM_START
    fields = (WarmStartArguments, SFTConfig, ModelConfig)
    values = read_config(config, "warm-start")
    (run, training, model), resolved, _ = _parse(argv, config, values, fields, "warm-start", output_dir)
    return ParsedWarmStart(run, training, model, config, resolved)


def _parse(
    argv: list[str],
    config: str | None,
    values: dict[str, Any],
    fields: tuple[Any, ...],
    command: str,
    output_dir: str,
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """The dataclasses of a command, filled in over the recipe's `values`; all values by name; those off the default."""
    stem = recipe_path(config).stem if config else "run"
    values.setdefault("output_dir", output_dir.format(recipe=stem))

    parser = make_parser(fields, command)
    defaults = {action.dest: action.default for action in reversed(parser._actions)}  # not those of `--no_...`
    known = sorted({action.dest for action in parser._actions} - {"help", "config"})
    _refuse_unknown([key for key in values if key not in known], known, f"{config}: ", command)
    parser.set_defaults_with_config(**values)
    if "--help-all" in argv:
        sys.stdout.write(help_text(parser, every_field=True))
        raise SystemExit(0)
    try:
        *parsed, rest = parser.parse_args_into_dataclasses(args=argv, return_remaining_strings=True)
    except Exception as error:
        if not isinstance(error, ValueError) and not is_refusal(error):
            raise
        raise _refused(error) from error
    for part in parsed:  # a model's arguments and those of supervised training check nothing themselves
        require_meant(vars(part))
        _require_trackers(getattr(part, "report_to", []))
    unknown = [item.lstrip("-").split("=")[0] for item in rest if item.startswith("--")]
    _refuse_unknown(unknown, known, "", command)
    if rest:
        raise ConfigError(f"Not understood: {' '.join(rest)}. Each value follows the name of its field.")
    resolved = {key: value for key, value in parser.resolved.items() if key in known and key not in _NOT_KEPT}
    resolved |= _as_in_yaml(parsed)
    changed = {key: value for key, value in resolved.items() if value != defaults[key]}
    return parsed[: len(fields)], resolved, changed


def make_parser(fields: tuple[Any, ...], command: str) -> RunParser:
    """The parser of a command whose options are the fields of these dataclasses."""
    parser = RunParser(fields, allow_abbrev=False, prog=f"gd2po {command}")
    parser.add_argument("--config", metavar="RECIPE_OR_PATH", help="A packaged recipe or a YAML file.")
    for name in _OF_SEVERAL_WORDS:
        _take_several(parser, name)
    return parser


def _as_in_yaml(parsed: Sequence[Any]) -> dict[str, Any]:
    """The fields of the dataclasses that may be written in several ways, as YAML has them."""
    found: dict[str, Any] = {}
    for part in parsed:
        for name in _WRITTEN_IN_WAYS:
            if hasattr(part, name):
                weights = isinstance(part, GD2POConfig) and name == "reward_weights"
                found[name] = part.plain_weights() if weights else getattr(part, name)
    return found


def _take_several(parser: argparse.ArgumentParser, name: str) -> None:
    """Let an option take several words, which TRL declares as a text or a list, so that its parser takes one."""
    for action in parser._actions:
        if action.dest == name:
            action.nargs = "+"


def _require_trackers(names: list[str]) -> None:
    """Raise for the first tracker that there is not, which transformers says only when the model is loaded."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            every = f"There are: none, all, {', '.join(INTEGRATION_TO_CALLBACK)}."
            raise ConfigError(
                f"`report_to`: there is no {name!r}. {did_you_mean(name, INTEGRATION_TO_CALLBACK, every)}"
            )


def _refused(error: Exception) -> GD2POError:
    """What TRL or we say against the values, as an error of ours."""
    if isinstance(error, GD2POError):
        return error
    if "support bf16" in str(error):
        return ConfigError(
            "`bf16` needs a GPU that computes in bfloat16, and there is none here. Set it to false, on a CPU with "
            "`use_cpu`."
        )
    return ConfigError(one_line(error))


def _take_config(argv: list[str]) -> tuple[list[str], str | None]:
    """The command line without `--config`, and its value."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        parsed, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError("`config` needs a recipe or a YAML file.") from error
    return rest, parsed.config


def _last_values(argv: list[str], name: str) -> list[str] | None:
    """The words that the command line gives a field of several; None where it does not name it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(*_flags(name), dest=name, nargs="*")
    values: list[str] | None = getattr(parser.parse_known_args(argv)[0], name)
    return values


def _last_value(argv: list[str], name: str) -> str | None:
    """What the command line says about a field; None where it does not name it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(*_flags(name), dest=name, nargs="?")  # a missing value is the whole parser's to refuse
    value: str | None = getattr(parser.parse_known_args(argv)[0], name)
    return value


def read_config(config: str, command: str) -> dict[str, Any]:
    """The values of a recipe or file.

    Raises:
        ConfigError: there is none, it is of another command, or it is no YAML with keys.
    """
    path = recipe_path(config)
    if config in recipe_names() and recipe_command(config) != command:
        raise ConfigError(f"The recipe {config!r} is run by `gd2po {recipe_command(config)} --config {config}`.")
    return read_settings(path)


def _refuse_unknown(keys: list[str], known: list[str], where: str, command: str) -> None:
    """Raise for the first key that is no field, with the nearest one that is."""
    for key in keys:
        every = f"`gd2po {command} --help-all` lists every field."
        hint = did_you_mean(key.replace("-", "_"), known, otherwise=every)
        raise ConfigError(f"{where}unknown key `{key}`. {hint}")


def _flags(*names: str) -> list[str]:
    """Both spellings that TRL's parser accepts."""
    return [flag for name in names for flag in (f"--{name}", f"--{name.replace('_', '-')}")]
