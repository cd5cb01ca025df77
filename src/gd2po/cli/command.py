"""A command as TRL's parser would read it: hyphens or underscores, several words after one option, old names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import typer
from typer.core import TyperCommand

OLD_NAMES: Final[Mapping[str, str]] = MappingProxyType({
    "out": "output_dir",
    "model": "model_name_or_path",
    "revision": "model_revision",
    "max_new_tokens": "max_completion_length",
    "size": "eval_prompts",
    "limit": "eval_prompts",
    "data": "dataset_name",
    "weights": "reward_weights",
})  # fmt: skip
"""Names that some options had once. They work as well, with a note, and are shown nowhere."""

_VALUE: Final = re.compile(r"[-+]?\.?\d[-+\d.,eE]*$|[{\[]|[^-].*=")
"""How a further word of an option begins: a number, JSON, or a name and its value."""


class Command(TyperCommand):
    """A command of ours. Options are spelled as TRL's and as the arguments of the functions behind them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Click's hook: the words of the command line as click understands them."""
        return super().parse_args(ctx, self._in_click_spelling(args))

    def _in_click_spelling(self, args: Sequence[str]) -> list[str]:
        options = {flag: parameter for parameter in self.params for flag in parameter.opts if flag.startswith("--")}
        arguments = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        as_options = {f"--{argument.name}" for argument in arguments if argument.nargs == -1}
        words, rest = list[str](), list(args)
        free, further = 0, -1  # how many words belong to no option; where the last further word of an option stands
        while rest and rest[0] != "--":
            flag, sign, value = rest.pop(0).partition("=")
            flag = _name_now(flag, {*options, *as_options}) if flag.startswith("--") else flag
            if flag in as_options:  # what it is called in gd2po train
                rest[:0] = [value] if sign else []
                continue
            words.append(f"{flag}{sign}{value}")
            option = options.get(flag)
            if option is None:
                free += not flag.startswith("-")
                continue
            if getattr(option, "is_flag", False):
                told = value if sign else rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
                words[-1:] = [flag] if told.lower() == "true" else [] if told.lower() == "false" else words[-1:]
                continue
            if sign:
                continue
            words += rest[:1]
            del rest[:1]
            while option.multiple and rest and _VALUE.match(rest[0]):
                further = len(words)
                words += [flag, rest.pop(0)]
        needs_one = any(argument.required and argument.nargs == 1 for argument in arguments)
        if needs_one and not free and not rest and further >= 0:
            del words[further]  # the word after it is the argument
        return [*words, *rest]


def _name_now(flag: str, known: Collection[str]) -> str:
    """One of the known flags as it is documented; any other as it was typed."""
    name = flag.removeprefix("--").replace("-", "_")
    if f"--{name}" in known:
        return f"--{name}"
    new = f"--{OLD_NAMES.get(name, name)}"
    if new not in known:
        return flag
    say_new_name(flag, new)
    return new


def say_new_name(old: str, new: str) -> None:
    """Tell whoever typed an old name, where it disturbs no output."""
    typer.echo(f"Note: {old} is now {new}.", err=True)
