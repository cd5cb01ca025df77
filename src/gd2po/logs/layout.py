"""Which column of a log plays which part: the format recognised by its columns, the rest guessed with a reason."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from gd2po.errors import DataFormatError
from gd2po.logs.cells import Numbers, is_numeric, to_keys, to_numbers
from gd2po.logs.reproduce import columns_behind_advantage

GroupRule = Literal["column", "uid", "runs", "prompt", "blocks"]

STEP_NAMES = ("step", "global_step", "global_steps", "training_step", "train_step", "iteration", "iter", "update")
GROUP_NAMES = (
    "group", "group_id", "group_ids", "prompt_id", "query_id", "question_id", "problem_id", "task_id", "example_id",
    "uid", "qid", "gid",
)  # fmt: skip
SURE_GROUP_NAMES = ("group", "group_id", "group_ids", "gid")
"""Columns that are the group even where no value comes twice."""

PROMPT_NAMES = ("prompt", "input", "query", "question", "instruction", "problem")
COMPLETION_NAMES = ("completion", "output", "response", "answer", "generation", "text")
LENGTH_NAMES = (
    "completion_tokens", "completion_length", "response_length", "num_tokens", "token_count", "tokens", "length", "len",
)  # fmt: skip
TOTAL_NAMES = ("reward", "rewards", "score", "total", "total_reward", "reward_total", "sum", "return")
"""Columns that usually hold the sum of the others."""

NEVER_REWARDS = {
    "advantage", "advantages", "kept", "keep", "conflict", "snr", "keep_ratio", "index", "idx", "id", "row", "epoch",
    "seed", "rank", "worker", "sample", "sample_id", "rollout", "rollout_id", "rollout_index", "generation_id",
    "timestamp", "time", "date", "temperature", "top_p", "kl", "logprob", "loss", "lr", "learning_rate", "num_turns",
    "prompt_tokens", "prompt_length", "overlong", "gts", "ground_truth", "request_id", "data_source", "pred",
    "target", "answer", "label", "solution", "reference",
}  # fmt: skip

_REWARD_NAME = re.compile(r"^(rewards?[/_.:-].+|.+[/_.:-]rewards?)$", re.IGNORECASE)
_REWARD_PREFIX = re.compile(r"^rewards?/")
_UID = r"^.+_\d+_\d+$"
_LENGTH_WORDS = ("token", "length")
_LONGEST_LENGTH_REWARD = 10


@dataclass(frozen=True)
class ColumnChoices:
    """Columns that the user names; None leaves the guess."""

    step: str | None = None
    group: str | None = None
    group_size: int | None = None
    rewards: Sequence[str] | None = None
    prompt: str | None = None
    completion: str | None = None
    length: str | None = None


@dataclass
class Layout:
    """Which column plays which part, and why."""

    format: str
    step: str | None = None
    group: str | None = None
    group_rule: GroupRule = "column"
    group_size: int | None = None
    reward_columns: list[str] = field(default_factory=list)
    prompt: str | None = None
    completion: str | None = None
    length: str | None = None
    reasons: list[str] = field(default_factory=list)
    """In sentences, for people."""

    @property
    def reward_names(self) -> list[str]:
        """The rewards as people call them: without the prefix of their columns."""
        return [_REWARD_PREFIX.sub("", column) for column in self.reward_columns]


def recognise(names: Sequence[str]) -> str:
    """What wrote a table with these columns: "gd2po", "trl", "verl" or "table"."""
    columns = set(names)
    if {"step", "group"} <= columns and any(name.startswith("reward/") for name in names):
        return "gd2po"
    if {"step", "prompt", "completion", "advantage"} <= columns:
        return "trl"
    if {"input", "output", "score", "step"} <= columns:
        return "verl"
    return "table"


FORMAT_TITLES = {
    "gd2po": "rollouts of `gd2po train` or GD2POTrainer",
    "trl": "TRL's completions table",
    "verl": "verl's rollout dump",
    "table": "a plain table",
}


def choose_layout(head: pa.Table, choices: ColumnChoices, where: str, decimal_comma: bool = False) -> Layout:
    """The layout of a table by its first rows.

    Raises:
        DataFormatError: a named column does not exist, or no reward or no group can be found.
    """
    return _Chooser(head, choices, where, decimal_comma).choose()


class _Chooser:
    """One choice of a layout: the columns that are still free, and what is decided."""

    def __init__(self, head: pa.Table, choices: ColumnChoices, where: str, decimal_comma: bool) -> None:
        self.head, self.choices, self.where, self.decimal_comma = head, choices, where, decimal_comma
        self.names: list[str] = head.column_names
        self.by_plain_name = {_plain_name(name): name for name in reversed(self.names)}
        self.layout = Layout(recognise(self.names))

    def choose(self) -> Layout:
        layout = self.layout
        layout.reasons.append(f"The columns are those of {FORMAT_TITLES[layout.format]}.")
        layout.step = self._named("step", self.choices.step) or self._first_of(STEP_NAMES)
        layout.prompt = self._named("prompt", self.choices.prompt) or self._first_of(PROMPT_NAMES)
        layout.completion = self._named("completion", self.choices.completion) or self._first_of(COMPLETION_NAMES)
        layout.length = self._named("length", self.choices.length) or self._find_length()
        if layout.length is not None:
            layout.reasons.append(f"The column {layout.length!r} counts the tokens of a completion.")
        if layout.step is None:
            layout.reasons.append("No column names the step: all rollouts count as one step. Name one with --step.")
        self._choose_group()
        self._choose_rewards()
        return layout

    def _named(self, role: str, name: str | None) -> str | None:
        """The column that the user named for a role."""
        if name is None:
            return None
        if name not in self.names:
            raise DataFormatError(f"{self.where} has no column {name!r} (--{role}). {self._what_there_is(name)}")
        return name

    def _what_there_is(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, self.names, n=1)
        hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
        return f"{hint}Its columns are: {', '.join(self.names)}."

    def _first_of(self, candidates: Sequence[str]) -> str | None:
        """The first candidate that is a column, however its letters and words are set."""
        return next((self.by_plain_name[name] for name in candidates if name in self.by_plain_name), None)

    def _find_length(self) -> str | None:
        """A column of token counts, the best-known name first."""
        known = [self.by_plain_name[name] for name in LENGTH_NAMES if name in self.by_plain_name]
        candidates = [name for name in [*known, *self.names] if name not in (self.choices.rewards or ())]
        return next((name for name in candidates if self._is_length(name)), None)

    def _is_length(self, name: str) -> bool:
        """Whether a column counts tokens. One called length may be a reward: counts are whole and soon above ten."""
        plain_name = _plain_name(name)
        if plain_name not in LENGTH_NAMES and not any(word in plain_name for word in _LENGTH_WORDS):
            return False
        values = self._numbers(name).values
        values = values[~np.isnan(values)]
        whole = bool((values == np.floor(values)).all()) and bool((values >= 0).all())
        return len(values) > 0 and whole and bool(values.max() > _LONGEST_LENGTH_REWARD)

    def _numbers(self, name: str) -> Numbers:
        return to_numbers(self.head.column(name), decimal_comma=self.decimal_comma)

    def _choose_group(self) -> None:
        layout, choices = self.layout, self.choices
        if choices.group_size is not None:
            layout.group_rule, layout.group_size = "blocks", choices.group_size
            layout.reasons.append(
                f"Groups are blocks of {choices.group_size} consecutive rows of a step (--group-size)."
            )
            return
        column = self._named("group", choices.group)
        if column is not None:
            layout.group, layout.group_rule = column, "column"
            layout.reasons.append(f"Groups by the column {column!r} (--group).")
            return
        if layout.format == "trl":
            layout.group, layout.group_rule = layout.prompt, "runs"
            return  # the reason comes with the size, once the rows are seen
        if layout.format == "verl" and "uid" in self.names and self._all_match("uid", _UID):
            layout.group, layout.group_rule = "uid", "uid"
            layout.reasons.append("Groups by the prompt's part of 'uid' ({prompt}_{rollout}_{output}).")
            return
        column = self._first_of(SURE_GROUP_NAMES) or self._repeating(GROUP_NAMES)
        if column is None and layout.prompt is None:
            column = self._first_of(GROUP_NAMES)
        if column is not None:
            layout.group, layout.group_rule = column, "column"
            layout.reasons.append(f"Groups by the column {column!r}, as its name says.")
            return
        if layout.prompt is None:
            raise DataFormatError(
                f"{self.where}: nothing tells which rollouts answer the same prompt. Name the column with --group, or "
                "the number of consecutive rows per prompt with --group-size. Its columns are: "
                f"{', '.join(self.names)}."
            )
        layout.group, layout.group_rule = layout.prompt, "prompt"
        # verl balances the rows of a step over its devices, so there are no consecutive rows to count.
        hint = "" if layout.format == "verl" else "; --group-size says how many consecutive rows make one"
        layout.reasons.append(
            f"No column names the group: rollouts of a step with the same {layout.prompt!r} are one. A prompt that was "
            f"drawn twice in a step counts as one larger group{hint}."
        )

    def _repeating(self, candidates: Sequence[str]) -> str | None:
        """The first candidate that is a column and has some value twice."""
        for candidate in candidates:
            if candidate in self.by_plain_name:
                keys, _ = to_keys(self.head.column(self.by_plain_name[candidate]))
                if len(np.unique(keys)) < len(keys):
                    return str(self.by_plain_name[candidate])
        return None

    def _all_match(self, name: str, pattern: str) -> bool:
        return all(isinstance(cell, str) and re.match(pattern, cell) for cell in self.head.column(name).to_pylist())

    def _choose_rewards(self) -> None:
        layout = self.layout
        if self.choices.rewards is not None:
            layout.reward_columns = [self._reward_column(name) for name in self.choices.rewards]
            layout.reasons.append(f"Rewards as named: {', '.join(layout.reward_names)}.")
            return
        marked = [name for name in self.names if _REWARD_NAME.match(name) and _plain_name(name) not in TOTAL_NAMES]
        if marked and layout.format != "trl":
            layout.reward_columns = marked
            layout.reasons.append(f"Rewards are the columns called so: {', '.join(marked)}.")
            return
        candidates = [name for name in self.names if self._may_be_reward(name)]
        if layout.format == "trl":
            layout.reward_columns, reason = columns_behind_advantage(self.head, candidates, layout.prompt or "prompt")
            layout.reasons.append(reason)
        else:
            layout.reward_columns = self._without_totals(candidates)
        if not layout.reward_columns:
            raise DataFormatError(
                f"{self.where}: no column looks like a reward (numbers that are neither step, group nor length). Name "
                f"them with --rewards a,b. Its columns are: {', '.join(self.names)}."
            )

    def _reward_column(self, name: str) -> str:
        for column in (name, f"reward/{name}", f"rewards/{name}"):
            if column in self.names:
                return column
        raise DataFormatError(f"{self.where} has no reward {name!r} (--rewards). {self._what_there_is(name)}")

    def _may_be_reward(self, name: str) -> bool:
        layout = self.layout
        taken = {layout.step, layout.group, layout.prompt, layout.completion, layout.length}
        if not name or name in taken or name.startswith("(unnamed column") or self._is_length(name):
            return False
        if _plain_name(name) in {*NEVER_REWARDS, *STEP_NAMES, *GROUP_NAMES}:
            return False
        if is_numeric(self.head.schema.field(name).type):
            return True
        if pa.types.is_null(self.head.schema.field(name).type):
            return False
        numbers = self._numbers(name)
        given = len(numbers.values) - int(np.isnan(numbers.values).sum())
        bad = 0 if numbers.bad is None else int(numbers.bad.sum())
        return given > 0 and given >= bad  # mostly numbers: what is not will be named as a bad row

    def _without_totals(self, candidates: list[str]) -> list[str]:
        reasons, totals = self.layout.reasons, [name for name in candidates if _plain_name(name) in TOTAL_NAMES]
        parts = [name for name in candidates if name not in totals]
        if totals and len(parts) >= 2:
            reasons.append(
                f"Rewards are the columns of numbers: {', '.join(parts)}; {', '.join(totals)} is left out as their "
                "total (--rewards chooses)."
            )
            return parts
        if self.layout.format == "verl" and candidates == ["score"]:
            reasons.append(
                "The dump holds the total score only, no reward components: verl's default trainer (v1) does not "
                "write them. trainer.use_v1=False with a reward function that returns a dict does."
            )
        elif candidates:
            reasons.append(f"Rewards are the columns of numbers: {', '.join(candidates)} (--rewards chooses).")
        return candidates


def _plain_name(name: str) -> str:
    """A column's name in small letters, its words joined by underscores.

    Example:
        >>> _plain_name("Prompt ID")
        'prompt_id'
    """
    return re.sub(r"[\s\-]+", "_", name.strip().lower())
