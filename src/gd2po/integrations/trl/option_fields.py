"""The options of all methods as flat fields of a configuration, made from `METHODS`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gd2po.core import METHODS
from gd2po.core.methods.base import Option
from gd2po.core.setting import default_method
from gd2po.errors import ConfigError

TRL_OWN = ("scale_rewards",)
"""Options that TRL has fields for."""


@dataclass(frozen=True)
class OptionField:
    """One option as a field: the same option of several methods is one field."""

    name: str
    options: Mapping[str, Option]
    """By method."""

    @property
    def default(self) -> Any:
        """The methods' default; None, for the chosen method's own, where they differ."""
        defaults = [option.default for option in self.options.values()]
        return defaults[0] if all(default == defaults[0] for default in defaults) else None

    @property
    def help(self) -> str:
        """For --help."""
        first = next(iter(self.options.values()))
        whose = ", ".join(self.options) if len(self.options) < len(METHODS) else "every method"
        default = "" if self.default is not None else " Default: the method's own."
        return f"Of {whose}: {first.help[:1].lower()}{first.help[1:]}{default}"

    @property
    def type(self) -> Any:
        """As TRL's parser of command lines needs it."""
        options = list(self.options.values())
        words = tuple(dict.fromkeys(word for option in options for word in option.words))
        if any(option.is_array for option in options):
            return list[float] | str | None
        if any(option.is_switch for option in options):
            return bool
        if all(option.bounds is None for option in options):
            return Literal[words] | None if self.default is None else Literal[words]
        if not words:
            return float if self.default is not None else float | None
        # With `str` last, the command line hands over text, which `parsed` converts, as TRL's pad_to_multiple_of does.
        return float | str | None

    def parsed(self, value: Any) -> Any:
        """A value as the method takes it: numbers and lists out of text.

        Raises:
            ConfigError: None where no method has a default of its own, or text that is no JSON list.
        """
        option = next(iter(self.options.values()))
        if value is None and self.default is not None:
            raise ConfigError(f"`{self.name}` must have a value: got None. Leave it out for {self.default!r}.")
        if not isinstance(value, str) or value in option.words:
            return value
        if option.is_array:
            try:
                return json.loads(value)
            except json.JSONDecodeError as error:
                raise ConfigError(f"`{self.name}` must be a list of numbers: got {value!r}.") from error
        try:
            return float(value) if option.bounds is not None else value
        except ValueError:
            return value  # the option itself says what it takes


def _option_fields() -> dict[str, OptionField]:
    by_name: dict[str, dict[str, Option]] = {}
    for method in METHODS.values():
        for name, option in method.options.items():
            if name not in TRL_OWN:
                by_name.setdefault(name, {})[method.name] = option
    return {name: OptionField(name, options) for name, options in by_name.items()}


OPTION_FIELDS = _option_fields()
"""Every option of every method by name."""

_ESTIMATOR_HELP = "How advantages come from the rewards: " + "; ".join(
    f"{method.name}, {method.title}" for method in METHODS.values()
)

_DEFAULT_HELP = "Default: consensus, or gd2po where an option that consensus lacks is set to another value."

MethodOptions = dataclasses.make_dataclass(
    "MethodOptions",
    [
        (
            "advantage_estimator",
            Literal[tuple(METHODS)] | None,
            dataclasses.field(default=None, metadata={"help": f"{_ESTIMATOR_HELP}. {_DEFAULT_HELP}"}),
        ),
        *(
            (name, option.type, dataclasses.field(default=option.default, metadata={"help": option.help}))
            for name, option in OPTION_FIELDS.items()
        ),
    ],
)
"""A dataclass with `advantage_estimator` and every option as a field."""


def chosen_method(values: Mapping[str, Any]) -> str:
    """The method of a configuration, whose `advantage_estimator` may be None."""
    given = [name for name, option in OPTION_FIELDS.items() if values[name] != option.default]
    return values["advantage_estimator"] or default_method(given)


def given_options(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a configuration's values that are options of the method; None stands for its own default."""
    return {
        name: values[name]
        for name, option in OPTION_FIELDS.items()
        if method in option.options and values[name] is not None
    }
