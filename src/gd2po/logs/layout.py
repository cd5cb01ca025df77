"""Which column of a log plays which part: what the user names, what the dialect knows, and the rest by a good guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from gd2po.errors import DataFormatError, did_you_mean
from gd2po.logs import names
from gd2po.logs.cells import Numbers, is_numeric, to_keys, to_numbers
from gd2po.logs.choices import ColumnChoices
from gd2po.logs.dialects import recognise
from gd2po.logs.dialects.base import Dialect, Groups
from gd2po.logs.names import plain_name
from gd2po.report.wording import join

_LONGEST_LENGTH_REWARD = 10
"""A column of whole numbers called length is a reward unless one of them is larger."""


@dataclass
class Layout:
    """Which column plays which part, and why."""

    dialect: Dialect
    groups: Groups = field(default_factory=lambda: Groups("blocks"))
    step: str | None = None
    reward_columns: list[str] = field(default_factory=list)
    """Of the K rewards, in order."""
    prompt: str | None = None
    completion: str | None = None
    length: str | None = None
    reasons: list[str] = field(default_factory=list)
    """Sentences for people."""

    @property
    def format(self) -> str:
        """The name of the dialect."""
        return self.dialect.name

    @property
    def group(self) -> str | None:
        """The column that tells groups apart; None where only the order of the rows does."""
        return self.groups.column

    @property
    def reward_names(self) -> list[str]:
        """The rewards as people call them: their columns without the prefix."""
        return [names.reward_name(column) for column in self.reward_columns]


def choose_layout(head: pa.Table, choices: ColumnChoices, where: str, decimal_comma: bool = False) -> Layout:
    """The layout of a table by its first rows.

    Args:
        head: the first rows, all columns.
        choices: columns that the user names.
        where: the file, for messages.
        decimal_comma: numbers in text have a comma where others have a point.

    Returns:
        The layout, with a reason for every choice that is not the user's.

    Raises:
        DataFormatError: a named column does not exist, or nothing looks like a reward or a group.

    Example:
        >>> head = pa.table({"step": [1, 1], "prompt_id": [7, 7], "correct": [1.0, 0.0], "brief": [0.2, 0.9]})
        >>> layout = choose_layout(head, ColumnChoices(), "log.parquet")
        >>> layout.step, layout.group, layout.reward_names
        ('step', 'prompt_id', ['correct', 'brief'])
    """
    return _Chooser(head, choices, where, decimal_comma).choose()


class _Chooser:
    """One choice of a layout: the columns, and what is decided so far."""

    def __init__(self, head: pa.Table, choices: ColumnChoices, where: str, decimal_comma: bool) -> None:
        self.head, self.choices, self.where, self.decimal_comma = head, choices, where, decimal_comma
        self.columns: list[str] = head.column_names
        self.by_plain_name = {plain_name(name): name for name in reversed(self.columns)}
        self.dialect = recognise(self.columns)
        self.layout = Layout(self.dialect)

    def choose(self) -> Layout:
        layout, choices, dialect = self.layout, self.choices, self.dialect
        layout.reasons.append(f"The columns are those of {dialect.title}.")
        layout.step = self._find("step", choices.step, dialect.step, names.STEP_NAMES)
        layout.prompt = self._find("prompt", choices.prompt, dialect.prompt, names.PROMPT_NAMES)
        layout.completion = self._find("completion", choices.completion, dialect.completion, names.COMPLETION_NAMES)
        layout.length = self._find("length", choices.length, dialect.length, ()) or self._find_length()
        if layout.length is not None:
            layout.reasons.append(f"The column {layout.length!r} counts the tokens of a completion.")
        if layout.step is None:
            layout.reasons.append("No column names the step, so all rollouts count as one step (`step` names one).")
        layout.groups = self._find_groups()
        if layout.groups.reason:
            layout.reasons.append(layout.groups.reason)
        self._choose_rewards()
        for column in layout.reward_columns:
            problem = names.name_problem(names.reward_name(column))
            if problem is not None:
                raise DataFormatError(
                    f"{self.where}: the name of the reward in column {column!r} {problem}. Rename it."
                )
        return layout

    def _find(self, part: str, chosen: str | None, known: str | None, usual: Sequence[str]) -> str | None:
        """The column of a part: the user's, else the dialect's, else the first with a usual name."""
        if chosen is not None:
            return self._existing(part, chosen)
        return known if known in self.columns else self._first_of(usual)

    def _existing(self, part: str, name: str) -> str:
        if name not in self.columns:
            raise DataFormatError(f"`{part}` needs a column of {self.where}: got {name!r}. {self._what_there_is(name)}")
        return name

    def _what_there_is(self, name: str) -> str:
        nearest = did_you_mean(name, self.columns, otherwise="")
        return f"{nearest} Its columns are: {', '.join(self.columns)}.".lstrip()

    def _first_of(self, usual: Sequence[str]) -> str | None:
        """The first of the usual names that is a column, in any case and with any separator of words."""
        return next((self.by_plain_name[name] for name in usual if name in self.by_plain_name), None)

    def _find_length(self) -> str | None:
        """A column of token counts, the best-known name first."""
        known = [self.by_plain_name[name] for name in names.LENGTH_NAMES if name in self.by_plain_name]
        candidates = [name for name in [*known, *self.columns] if name not in (self.choices.rewards or ())]
        return next((name for name in candidates if self._is_length(name)), None)

    def _is_length(self, name: str) -> bool:
        """True where a column counts tokens. One called length may be a reward: counts are whole and soon above ten."""
        called = plain_name(name)
        if called not in names.LENGTH_NAMES and not any(word in called for word in names.LENGTH_WORDS):
            return False
        values = self._numbers(name).values
        values = values[~np.isnan(values)]
        whole = bool((values == np.floor(values)).all()) and bool((values >= 0).all())
        return len(values) > 0 and whole and bool(values.max() > _LONGEST_LENGTH_REWARD)

    def _numbers(self, name: str) -> Numbers:
        return to_numbers(self.head.column(name), decimal_comma=self.decimal_comma)

    def _find_groups(self) -> Groups:
        choices, dialect, prompt = self.choices, self.dialect, self.layout.prompt
        if choices.group_size is not None:
            size = choices.group_size
            return Groups("blocks", size=size, reason=f"Every {size} consecutive rows of a step are a group.")
        if choices.group is not None:
            column = self._existing("group", choices.group)
            return Groups("column", column, reason=f"Groups come from the column {column!r}, as named.")
        found = dialect.find_groups(self.head, prompt) if dialect.find_groups is not None else None
        if found is not None:
            return found
        if dialect.group in self.columns:
            return Groups("column", dialect.group, reason=f"Groups come from the column {dialect.group!r}.")
        return self._guess_groups(prompt)

    def _guess_groups(self, prompt: str | None) -> Groups:
        column = self._first_of(names.SURE_GROUP_NAMES) or self._repeating(names.GROUP_NAMES)
        if column is None and prompt is None:
            column = self._first_of(names.GROUP_NAMES)
        if column is not None:
            return Groups("column", column, reason=f"Groups come from the column {column!r}, judging by its name.")
        if prompt is None:
            raise DataFormatError(
                f"{self.where}: nothing tells which rollouts answer the same prompt. Name the column with `group`, or "
                "the number of consecutive rows per prompt with `group_size`. Its columns are: "
                f"{', '.join(self.columns)}."
            )
        hint = "" if self.dialect.scatters_groups else ", unless `group_size` says how many consecutive rows make one"
        return Groups(
            "column",
            prompt,
            reason=f"No column names the group: rollouts of a step with the same {prompt!r} are one. A prompt that was "
            f"drawn twice in a step counts as one larger group{hint}.",
        )

    def _repeating(self, usual: Sequence[str]) -> str | None:
        """The first of the usual names that is a column and has some value twice."""
        for column in (self.by_plain_name[name] for name in usual if name in self.by_plain_name):
            keys, _ = to_keys(self.head.column(column))
            if len(np.unique(keys)) < len(keys):
                return str(column)
        return None

    def _choose_rewards(self) -> None:
        layout, dialect = self.layout, self.dialect
        if self.choices.rewards is not None:
            layout.reward_columns = [self._reward_column(name) for name in self.choices.rewards]
            layout.reasons.append(f"Rewards as named: {', '.join(layout.reward_names)}.")
            return
        if dialect.find_rewards is not None:
            found = dialect.find_rewards(self.head, layout.prompt, self._reward_candidates())
            if found is not None and found.columns:
                layout.reward_columns = found.columns
                layout.reasons.append(found.reason)
                return
        layout.reward_columns = [name for name in self.columns if names.is_marked_reward(name)]
        if layout.reward_columns:
            layout.reasons.append(f"Rewards are the columns named as such: {', '.join(layout.reward_columns)}.")
            return
        layout.reward_columns = self._without_totals(self._reward_candidates())
        if not layout.reward_columns:
            raise DataFormatError(
                f"{self.where}: no column looks like a reward (numbers that are neither step, group nor length). Name "
                f"them with `rewards`. Its columns are: {', '.join(self.columns)}."
            )

    def _reward_column(self, name: str) -> str:
        for column in (name, *(prefix + name for prefix in names.REWARD_PREFIXES)):
            if column in self.columns:
                return column
        raise DataFormatError(f"`rewards` needs columns of {self.where}: got {name!r}. {self._what_there_is(name)}")

    def _reward_candidates(self) -> list[str]:
        return [name for name in self.columns if self._may_be_reward(name)]

    def _may_be_reward(self, name: str) -> bool:
        return self._is_free(name) and self._holds_numbers(name)

    def _is_free(self, name: str) -> bool:
        """True where a column plays no other part."""
        layout = self.layout
        taken = {layout.step, layout.group, layout.prompt, layout.completion, layout.length, *self.dialect.not_rewards}
        if not name or name in taken or name.startswith("(unnamed column") or self._is_length(name):
            return False
        return plain_name(name) not in {*names.NEVER_REWARDS, *names.STEP_NAMES, *names.GROUP_NAMES}

    def _holds_numbers(self, name: str) -> bool:
        if is_numeric(self.head.schema.field(name).type):
            return True
        if pa.types.is_null(self.head.schema.field(name).type):
            return False
        numbers = self._numbers(name)
        given = len(numbers.values) - int(np.isnan(numbers.values).sum())
        bad = 0 if numbers.bad is None else int(numbers.bad.sum())
        return given > 0 and given >= bad  # mostly numbers: what is not will be named as a bad row

    def _without_totals(self, candidates: list[str]) -> list[str]:
        totals = [name for name in candidates if plain_name(name) in names.TOTAL_NAMES]
        parts = [name for name in candidates if name not in totals]
        if not totals or len(parts) < 2:
            parts, excluded = candidates, ""
        else:
            excluded = f"; {', '.join(totals)} {'is' if len(totals) == 1 else 'are'} excluded as their total"
        others = [name for name in self.columns if self._is_free(name) and not self._holds_numbers(name)]
        left_out = f" These hold none: {join(others, 6)}." if others else ""
        self.layout.reasons.append(
            f"Rewards are the columns of numbers: {', '.join(parts)}{excluded} (`rewards` overrides this).{left_out}"
        )
        return parts
