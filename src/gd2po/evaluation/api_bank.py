"""API-Bank levels 1 to 3: prompts, references and scores. Pure apart from `load_api_bank`; no model, no generation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gd2po.errors import DataFormatError, InvalidInputError, InvalidTypeError

LEVELS: Final = (1, 2, 3)
TARGET_WORDS: Final = 512
"""Words of thought from which on the length score is 1."""

_TAGS: Final = ("think", "tool_call", "response")


@dataclass(frozen=True)
class OutputScore:
    """How one output does against its reference."""

    correct: bool
    """One of its calls is the reference's."""
    format_errors: tuple[str, ...]
    """What is wrong with its layout; empty where nothing is."""
    length: float
    """Words of thought over `TARGET_WORDS`, at most 1, rounded to two digits."""
    think_words: int

    @property
    def format_ok(self) -> bool:
        """True where the layout has no error."""
        return not self.format_errors


@dataclass(frozen=True)
class ApiBankSample:
    """One dialogue of API-Bank and the call that its last turn needs."""

    level: int
    index: int
    """Position in the level's file, from 0."""
    prompt: list[dict[str, str]]
    answer: Any

    @property
    def key(self) -> str:
        """The sample's name in files of outputs."""
        return f"{self.level}/{self.index}"


@dataclass(frozen=True)
class LevelScores:
    """Mean scores of a set of outputs."""

    num_outputs: int
    accuracy: float
    """Share of correct outputs, in [0, 1]."""
    format: float
    """Share of outputs without an error of layout, in [0, 1]."""
    length: float
    """Mean length score, in [0, 1]."""


def score_output(raw_output: str, answer: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> OutputScore:
    r"""How an output does: is the call right, is the layout right, how long does it think?

    Correct: a line between the first `<tool_call>` and the `</tool_call>` after it is JSON with the name and exactly
    the parameters of the reference. Further calls, and lines that are no JSON, change nothing. An object without
    `name` or `parameters` is taken for the parameters alone. Values are equal as in Python.

    Layout: `<think>`, `</think>`, then `<tool_call>`, `</tool_call>` or `<response>`, `</response>` or both, in this
    order, no tag twice. Text between the parts, and what is in them, is not looked at.

    Length: words between the first `<think>` and the first `</think>`, over 512.

    Args:
        raw_output: any string; white space around it does not count.
        answer: the reference: a list whose first item is the call, or the call, with `name` and `parameters`.

    Returns:
        The scores. No string raises.

    Raises:
        InvalidTypeError: `raw_output` is not a string.
        InvalidInputError: `answer` is not a call.

    Example:
        >>> answer = [{"name": "Search", "parameters": {"query": "rain"}}]
        >>> call = '{"name": "Search", "parameters": {"query": "rain"}}'
        >>> score_output(f"<think> Look it up. </think>\n<tool_call>\n{call}\n</tool_call>", answer)
        OutputScore(correct=True, format_errors=(), length=0.01, think_words=3)
        >>> score_output(f"<tool_call>{call}</tool_call>", answer).format_errors
        ('missing_think',)

    Source: GD²PO (arXiv:2606.16771), evaluation of the tool-calling runs on API-Bank (arXiv:2304.08244).

    Deviations: the published code gives an output up as wrong at a line that is a JSON number, true, null, or a string
    that is not JSON itself; here such lines are passed over.
    """
    if not isinstance(raw_output, str):
        raise InvalidTypeError(f"`raw_output` must be a string, got {type(raw_output).__name__}.")
    expected = reference_call(answer)
    text = raw_output.strip()
    words = _think_words(text)
    return OutputScore(
        correct=any(_is_call(entry, expected) for entry in _entries(text)),
        format_errors=_format_errors(text),
        length=min(1.0, round(words / TARGET_WORDS, 2)),
        think_words=words,
    )


def reference_call(answer: Any) -> Mapping[str, Any]:
    """The call of a reference, which is a call or a list whose first item is one.

    Raises:
        InvalidInputError: it is neither.

    Example:
        >>> reference_call([{"name": "Today", "parameters": {}}])
        {'name': 'Today', 'parameters': {}}
    """
    call = answer[0] if isinstance(answer, Sequence) and not isinstance(answer, str) and answer else answer
    if (
        not isinstance(call, Mapping)
        or not isinstance(call.get("name"), str)
        or not isinstance(call.get("parameters"), Mapping)
    ):
        raise InvalidInputError(
            "`answer` must be a call, or a list whose first item is one: an object with the text `name` and the object "
            f"`parameters`. Got {str(answer)[:200]!r}."
        )
    return call


def load_api_bank(
    folder: str | os.PathLike[str], levels: Sequence[int] = LEVELS, *, eval_prompts: int | None = None
) -> list[ApiBankSample]:
    """The samples of API-Bank, in the order of levels and files.

    Args:
        folder: holds `level-1-api_processed.json` and so on: lists of objects with the texts `system` and `user` and
            the reference `answer`.
        levels: which levels.
        eval_prompts: at most so many samples of each level, the first ones; None for all.

    Raises:
        InvalidInputError: an unknown level, one twice, or `eval_prompts` below 1.
        DataFormatError: a file is missing, not JSON, empty, or a sample is not what it has to be.

    Source: files of the official repository Qwen-Applications/GD2PO, `tool-calling/API_Bank`.
    """
    unknown = [level for level in levels if level not in LEVELS]
    if unknown or not levels or len(set(levels)) < len(levels):
        raise InvalidInputError(f"`levels` must be some of 1, 2 and 3, each once: got {list(levels)}.")
    if eval_prompts is not None and eval_prompts < 1:
        raise InvalidInputError(f"`eval_prompts` must be at least 1, got {eval_prompts}. Leave it out for all samples.")
    samples = []
    for level in levels:
        path = Path(folder) / f"level-{level}-api_processed.json"
        rows = _read_level(path)
        samples += [_sample(level, index, row, path) for index, row in enumerate(rows[:eval_prompts])]
    return samples


def summarise(scores: Iterable[tuple[int, OutputScore]]) -> dict[str, LevelScores]:
    """Mean scores per level, and over all outputs.

    Args:
        scores: level and score of each output.

    Returns:
        `"level 1"` and so on for the levels there are, then `"overall"`, where every output counts once.

    Raises:
        InvalidInputError: there are no scores.

    Example:
        >>> score = OutputScore(correct=True, format_errors=(), length=0.5, think_words=256)
        >>> summarise([(1, score)])["overall"]
        LevelScores(num_outputs=1, accuracy=1.0, format=1.0, length=0.5)
    """
    by_level: dict[int, list[OutputScore]] = {}
    for level, score in scores:
        by_level.setdefault(level, []).append(score)
    if not by_level:
        raise InvalidInputError("`scores` is empty: there is no output to summarise.")
    summary = {f"level {level}": _means(by_level[level]) for level in sorted(by_level)}
    return {**summary, "overall": _means([score for level in by_level.values() for score in level])}


def _means(scores: list[OutputScore]) -> LevelScores:
    count = len(scores)
    return LevelScores(
        num_outputs=count,
        accuracy=sum(score.correct for score in scores) / count,
        format=sum(score.format_ok for score in scores) / count,
        length=sum(score.length for score in scores) / count,
    )


def _entries(text: str) -> list[Any]:
    """The JSON values in the lines of the first tool-call block."""
    _, opened, rest = text.partition("<tool_call>")
    block, closed, _ = rest.partition("</tool_call>")
    # A block that closes before it opens counts as well: the published code only asks for both tags.
    if not opened or (not closed and "</tool_call>" not in text):
        return []
    entries = []
    for line in block.splitlines():
        try:
            entries.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return entries


def _is_call(entry: Any, expected: Mapping[str, Any]) -> bool:
    """True where an entry is the expected call, or its parameters alone."""
    if not isinstance(entry, dict):
        return False
    if "name" not in entry or "parameters" not in entry:
        entry = {"name": expected["name"], "parameters": entry}
    try:
        return bool(entry["name"] == expected["name"] and entry["parameters"] == expected["parameters"])
    except RecursionError:  # nested just below the JSON parser's limit
        return False


def _format_errors(text: str) -> tuple[str, ...]:
    """What is wrong with the layout; the errors of tags alone, where there are some."""
    if not text:
        return ("empty_output",)
    errors = []
    for tag in _TAGS:
        opened, closed = text.count(f"<{tag}>"), text.count(f"</{tag}>")
        if opened > 1:
            errors.append(f"multiple_{tag}_blocks")
        if opened != closed:
            errors.append(f"unbalanced_{tag}_tags")
    if errors:
        return tuple(sorted(errors))
    if "<think>" not in text:
        return ("missing_think",)
    if "<tool_call>" not in text and "<response>" not in text:
        return ("missing_tool_call_and_response",)
    positions = [text.find(bracket) for tag in _TAGS for bracket in (f"<{tag}>", f"</{tag}>")]
    found = [position for position in positions if position >= 0]
    return () if found == sorted(found) else ("wrong_order",)


def _think_words(text: str) -> int:
    """Number of words between the first `<think>` and the first `</think>`; 0 unless they come in this order."""
    start, end = text.find("<think>"), text.find("</think>")
    if start < 0 or end < start:
        return 0
    return len(text[start + len("<think>") : end].split())


def _read_level(path: Path) -> list[Any]:
    """The rows of one level's file."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataFormatError(
            f"`dataset_name`: there is no file {path}. Give the folder that holds level-1-api_processed.json, "
            "level-2-api_processed.json and level-3-api_processed.json, or choose among the levels there are."
        ) from error
    except (OSError, ValueError) as error:
        raise DataFormatError(f"{path} is not readable JSON: {error}.") from error
    if not isinstance(rows, list) or not rows:
        raise DataFormatError(f"{path} must hold a list of samples, got {_described(rows)}.")
    return rows


def _sample(level: int, index: int, row: Any, path: Path) -> ApiBankSample:
    """One row, checked."""
    keys = ("system", "user")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys) or "answer" not in row:
        raise DataFormatError(
            f"{path} sample {index}: must be an object with the texts `system` and `user` and with `answer`, "
            f"got {_described(row)}."
        )
    try:
        reference_call(row["answer"])
    except InvalidInputError as error:
        raise DataFormatError(f"{path} sample {index}: {error}") from error
    return ApiBankSample(level, index, [{"role": key, "content": row[key]} for key in keys], row["answer"])


def _described(value: Any) -> str:
    """A value's kind, in words that fit in a message."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, value)) or 'nothing in it'}"
    return "an empty list" if value == [] else f"a {type(value).__name__}"
