"""RLLA, or any data set in verl's RL schema, as the columns `prompt` and `answer`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from gd2po.data.columns import require_columns
from gd2po.errors import DataFormatError
from gd2po.rewards import parse_tool_calls

if TYPE_CHECKING:
    from os import PathLike

    from datasets import Dataset

_COLUMNS: Final = ("prompt", "reward_model")


def has_reference_answers(dataset: Dataset) -> bool:
    """Whether a data set is in verl's RL schema and has reference answers, which prompts for reward models lack."""
    if not set(_COLUMNS) <= set(dataset.column_names) or "answer" in dataset.column_names:
        return False
    reward_model = dataset.features["reward_model"]
    return not isinstance(reward_model, Mapping) or "ground_truth" in reward_model


def prompts_and_answers(parts: Iterable[tuple[str, Dataset]], source: str | PathLike[str]) -> Dataset:
    """The columns `prompt` (messages) and `answer` (text) of data sets in verl's RL schema.

    Args:
        parts: data sets, each with the name that messages use for it.
        source: where they come from, for the warning.

    Raises:
        DataFormatError: a part is empty or lacks a column, or a row has no messages or no reference answer.

    Warns:
        UserWarning: some reference answers hold a `<tool_call>` that does not parse.
    """
    from datasets import Dataset

    prompts: list[list[dict[str, Any]]] = []
    answers: list[str] = []
    for label, part in parts:
        require_columns(part, _COLUMNS, label)
        for row, example in enumerate(part.select_columns(list(_COLUMNS))):
            prompts.append(_messages(example["prompt"], label, row))
            answers.append(_ground_truth(example["reward_model"], label, row))
    _warn_of_unparsable(answers, source)
    return Dataset.from_dict({"prompt": prompts, "answer": answers})


def _messages(prompt: Any, label: str, row: int) -> list[dict[str, Any]]:
    """A row's prompt as messages."""
    if prompt is None or (isinstance(prompt, (str, list)) and not prompt):
        raise DataFormatError(f"{label} row {row}: `prompt` is empty. Remove the row or fill it in.")
    if not isinstance(prompt, list) or not all(_is_message(message) for message in prompt):
        raise DataFormatError(
            f"{label} row {row}: `prompt` must be a list of messages, each with the texts `role` and `content`, "
            f"got {_described(prompt)}."
        )
    return [dict(message) for message in prompt]


def _is_message(message: Any) -> bool:
    """True for an object with a role and a content, both texts."""
    return isinstance(message, Mapping) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _ground_truth(reward_model: Any, label: str, row: int) -> str:
    """A row's reference answer."""
    if not isinstance(reward_model, Mapping) or "ground_truth" not in reward_model:
        raise DataFormatError(
            f"{label} row {row}: `reward_model` must hold `ground_truth`, the reference answer's text, "
            f"got {_described(reward_model)}."
        )
    answer = reward_model["ground_truth"]
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        raise DataFormatError(f"{label} row {row}: `reward_model.ground_truth` is empty. Remove the row or fill it in.")
    if not isinstance(answer, str):
        raise DataFormatError(
            f"{label} row {row}: `reward_model.ground_truth` must be the reference answer's text, "
            f"got {_described(answer)}."
        )
    return answer


def _described(value: Any) -> str:
    """A value's kind, in words that fit in a message."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(str, value)) or 'nothing in it'}"
    if isinstance(value, list) and value:
        return f"a list of {_described(value[0])}"
    return "null" if value is None else type(value).__name__


def _warn_of_unparsable(answers: list[str], source: str | PathLike[str]) -> None:
    """Warn of reference answers that promise a tool call and hold none."""
    broken = [
        row
        for row, answer in enumerate(answers)
        if "<tool_call>" in answer.rpartition("</think>")[2] and parse_tool_calls(answer) is None
    ]
    if broken:
        warnings.warn(
            f"{source}: {len(broken)} of {len(answers)} reference answers hold a <tool_call> block that does not "
            f"parse (the first in row {broken[0]}). tool_call_correctness does not apply to them.",
            stacklevel=4,
        )
