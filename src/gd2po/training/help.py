"""`--help` of commands with TRL's fields: ours and the common ones in groups; every field with `--help-all`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Final

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "what to train on": (
        "config", "model_name_or_path", "gguf_file", "dataset_name", "dataset_config", "dataset_train_split",
        "dataset_size",
    ),
    "rewards": (
        "reward_funcs", "reward_kwargs", "reward_model_name_or_path", "reward_weights", "reward_families",
        "reward_conditions", "check_rewards", "reward_timeout",
    ),
    "from rewards to advantages": (
        "advantage_estimator", "filtering", "snr_threshold", "conflict_pairs", "scale_rewards", "whitening",
        "dynamic_sampling", "gradient_coordination", "skip_zero_advantage", "micro_batches_by_length",
    ),
    "the run": (
        "output_dir", "overwrite_output_dir", "resume_from_checkpoint", "dry_run", "max_steps", "num_train_epochs",
        "seed", "learning_rate", "num_generations", "per_device_train_batch_size", "gradient_accumulation_steps",
        "max_completion_length", "temperature", "beta", "loss_type", "use_cpu", "bf16", "use_vllm", "use_peft",
        "lora_r", "save_steps", "save_total_limit",
    ),
    "held-out prompts": (
        "eval_prompts", "eval_every", "eval_funcs", "eval_kwargs", "eval_dataset_name", "dataset_test_split",
    ),
    "what the run leaves": (
        "log_rollouts", "html_report", "report_to", "run_name", "push_to_hub", "hub_model_id", "hub_rollouts",
    ),
}  # fmt: skip
"""Fields by name; a group shows those that the command has."""


_SHORT: Final = 40
"""Characters of choices that are shown beside the field."""


class _Full(argparse.HelpFormatter):
    """Each field in one spelling, with its default where it says something."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        flag = action.option_strings[0]
        if action.nargs == 0:
            return flag
        words = "|".join(map(str, action.choices or ()))
        value = words if 0 < len(words) <= _SHORT else "VALUE"
        return f"{flag} {value}{' ...' if action.nargs in ('+', '*') else ''}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = self._text(action)
        if action.default in (None, argparse.SUPPRESS, [], {}, ""):
            return text
        default = action.default
        shown = " ".join(map(str, default)) if isinstance(default, list) else str(default)
        return f"{text} [{shown.replace('%', '%%')}]"

    def _text(self, action: argparse.Action) -> str:
        return action.help or ""


class _Brief(_Full):
    """Of each help text the first sentence."""

    def _text(self, action: argparse.Action) -> str:
        text = re.split(r"(?<!e\.g)[.] (?=[A-Z`\"])", action.help or "", maxsplit=1)[0].rstrip(".")
        words = ", ".join(map(str, action.choices or ()))
        return f"{text.partition(':')[0]}: {words}." if len(words) > _SHORT else f"{text}."


def help_text(parser: argparse.ArgumentParser, *, every_field: bool) -> str:
    """The help of a parser; with `every_field` the fields of no group as well, in one of their own.

    Args:
        parser: of all fields.
        every_field: as `--help-all` asks for.
    """
    actions: dict[str, argparse.Action] = {}
    for action in parser._actions:  # of a switch and its `--no_...` the first
        actions.setdefault(action.dest, action)
    formatter = (_Full if every_field else _Brief)(parser.prog, max_help_position=28)
    formatter.add_text(f"usage: {parser.prog} [--config RECIPE_OR_PATH] [--field VALUE ...]")
    formatter.add_text(
        "A recipe or YAML file gives the values, the command line overrides them. Defaults stand in brackets."
    )
    for title, names in GROUPS.items():
        _add(formatter, title, [actions[name] for name in names if name in actions])
    shown = {name for names in GROUPS.values() for name in names} | {"help", "help_all"}
    others = [action for name, action in actions.items() if name not in shown]
    if every_field:
        _add(formatter, "every other field, of the methods, TRL and transformers", others)
    else:
        formatter.add_text(f"{len(others)} more fields, of the methods, TRL and transformers: {parser.prog} --help-all")
    return formatter.format_help()


def _add(formatter: argparse.HelpFormatter, title: str, actions: Sequence[argparse.Action]) -> None:
    if actions:
        formatter.start_section(title)
        formatter.add_arguments(actions)
        formatter.end_section()
