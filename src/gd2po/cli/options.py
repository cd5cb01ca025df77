"""What the commands share: what an extra is needed for, and what Ctrl-C says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console

from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.training import INTERRUPTED

ANY_FIELD: Final[dict[str, Any]] = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context of commands that pass on what they do not know."""


@contextmanager
def needing(command: str, extra: str) -> Iterator[None]:
    """Turn a missing package into an error that says how to install it.

    Raises:
        MissingDependencyError: an import inside did not find a package of somebody else's.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "gd2po":
            raise
        message = f"`gd2po {command}` needs {package}: pip install 'gd2po[{extra}]'."
        raise MissingDependencyError(message) from error


@contextmanager
def resumable() -> Iterator[Console]:
    """The console of a command that saves as it goes. Ctrl-C ends it with a word about what is saved.

    Raises:
        typer.Exit: with the status of an interrupted program.
    """
    console = Console()
    try:
        yield console
    except KeyboardInterrupt as interrupt:
        saved = f" {interrupt}." if str(interrupt) else ""
        console.print(f"Stopped.{saved} The same command resumes from there.", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from interrupt


def refuse_beside(
    context: typer.Context, given: bool, option: str, *, not_with: Iterable[str], only_with: Iterable[str]
) -> None:
    """Refuse options that say nothing beside another one, or without it.

    Args:
        context: of the command.
        given: whether the other option is given.
        option: its name.
        not_with: parameters that say nothing beside it, like every word that the command does not know.
        only_with: parameters that say nothing without it.

    Raises:
        ConfigError: names the first one.
    """

    def is_told(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name != "DEFAULT"

    if given:
        told = [f"--{name}" for name in not_with if is_told(name)] + context.args
        if told:
            raise ConfigError(f"`{told[0]}` is for training runs, and says nothing beside `--{option}`. Leave one out.")
        return
    for name in only_with:
        if is_told(name):
            raise ConfigError(f"`--{name}` needs `--{option}`.")
