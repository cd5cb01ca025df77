"""One name per option over all commands: it means one thing everywhere, and is train's where train has it."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin

from typer.main import get_command

from gd2po.cli import app
from gd2po.cli.command import OLD_NAMES, Command
from gd2po.integrations.trl.config import GD2POConfig
from gd2po.training.arguments import RUN_FIELDS, RunArguments, WarmStartArguments, make_parser

OF_A_COMMAND_ALONE = {
    "a log": {
        "path", "rewards", "group", "step", "step_range", "prompt", "completion", "length", "skip_bad_rows", "gold",
        "group_size",  # num_generations is how many are to be generated, this is how many stand in a log
    },
    "a comparison": {
        "methods", "method", "baseline", "seeds", "learning_rates", "jobs", "threads", "target", "world", "sweep",
    },
    "an evaluation": {
        "levels", "outputs", "device", "max_prompt_tokens", "reward_batch_size",
        "batch_size",  # TRL's are of training, and a multiple of num_generations
        "reward_models",  # by name and with any head; TRL's reward_model_name_or_path are classifiers that it loads
    },
    "what is written": {"html", "json", "watch"},
    "arguments without a flag": {"folder", "name"},
}  # fmt: skip
"""Options for which train has no field. A new one stands here only if no field of train means the same."""

ONE_AND_SEVERAL = {
    "seeds": "of several runs, as numbers and ranges",
    "learning_rates": "a grid",
    "methods": "built-in ones by name; a `method` is one of your own",
}
"""Names that are another one with an s."""

HELP_OF_ITS_OWN = {"dataset_name": "each benchmark reads prompts of a form of its own"}
"""Options whose texts only begin alike."""


@dataclass(frozen=True)
class Option:
    command: str
    name: str
    help: str
    kind: str
    """Type of the value, with `...` for several words."""
    hidden: bool


def commands(found: Any = None, words: str = "") -> Iterator[tuple[str, Any]]:
    found = found or get_command(app)
    if not getattr(found, "commands", None):
        yield words, found
    for name, inner in getattr(found, "commands", {}).items():
        yield from commands(inner, f"{words} {name}".strip())


@cache
def options() -> list[Option]:
    found = []
    for words, command in commands():
        declared = inspect.signature(command.callback, eval_str=True).parameters
        for parameter in command.params:
            if parameter.name != "help":
                kind, hidden = kind_of(declared[parameter.name].annotation), getattr(parameter, "hidden", False)
                found.append(Option(words, parameter.name, parameter.help or "", kind, hidden))
    return found


def kind_of(annotation: Any) -> str:
    """The type in an annotation such as `Annotated[list[str] | None, ...]`."""
    inside = get_args(annotation)[0]
    kinds = get_args(inside) if isinstance(inside, UnionType) else (inside,)
    (kind,) = set(kinds) - {type(None)}
    return f"{get_args(kind)[0].__name__} ..." if get_origin(kind) is list else kind.__name__


@cache
def fields() -> dict[str, Option]:
    """The fields of train, as its parser takes them."""
    found: dict[str, Option] = {}
    shared = {option.name for option in options()}
    for action in make_parser(RUN_FIELDS, "train")._actions:
        kind = type(action.type("1")).__name__ if action.dest in shared and action.type else "str"
        several = " ..." if action.nargs == "+" else ""
        found.setdefault(action.dest, Option("train", action.dest, action.help or "", kind + several, False))
    return found


def test_every_command_is_found_and_all_but_those_of_trl_understand_their_words_alike() -> None:
    every = dict(commands())
    assert {"train", "warm-start", "compare", "check-rewards", "diagnose", "replay", "evaluate safety"} <= every.keys()
    assert {words for words, command in every.items() if not isinstance(command, Command)} == {"train", "warm-start"}


def test_an_option_has_one_help_text_and_one_type_in_all_commands() -> None:
    by_name = defaultdict(list)
    for option in options():
        by_name[option.name].append(option)
    for name, several in by_name.items():
        assert len({option.kind for option in several}) == 1, several
        texts = {option.help for option in several}
        if name in HELP_OF_ITS_OWN:
            assert len({text.partition(":")[0] for text in texts}) == 1, texts
        else:
            assert len(texts) == 1, texts
    assert HELP_OF_ITS_OWN.keys() <= by_name.keys()


def test_an_option_with_the_name_of_a_field_of_train_takes_the_same_values() -> None:
    for option in options():
        if option.name in fields():
            assert option.kind == fields()[option.name].kind, option


def test_the_help_of_our_fields_begins_with_the_text_of_the_other_commands() -> None:
    ours = {*RunArguments.__dataclass_fields__, *GD2POConfig.__annotations__, "config"}
    compared = set()
    for option in options():
        if option.name in ours and (option.command == "check-rewards" or option.name not in HELP_OF_ITS_OWN):
            compared.add(option.name)
            assert fields()[option.name].help.startswith(option.help.rstrip(".")), option
    assert {"reward_weights", "reward_families", "reward_kwargs", "reward_conditions", "eval_prompts"} <= compared
    for name in WarmStartArguments.__dataclass_fields__.keys() & {"dataset_config", "dataset_train_split", "gguf_file"}:
        texts = [kind.__dataclass_fields__[name].metadata["help"] for kind in (RunArguments, WarmStartArguments)]
        assert texts[0] == texts[1]


def test_an_option_that_train_does_not_have_is_one_that_it_cannot_have() -> None:
    own = {option.name for option in options() if not option.hidden} - fields().keys()
    assert own == set().union(*OF_A_COMMAND_ALONE.values())


def test_no_name_is_another_with_an_s_but_where_that_says_several() -> None:
    names = {option.name for option in options()} | fields().keys()
    assert {name for name in names if name.endswith("s") and name[:-1] in names} == ONE_AND_SEVERAL.keys()


def test_old_names_are_names_of_nothing_else() -> None:
    names = {option.name for option in options()} | fields().keys()
    assert OLD_NAMES.keys().isdisjoint(names)
    assert set(OLD_NAMES.values()) <= names
    assert {option.name for option in options() if option.hidden} == {"backend", "target_words"}
