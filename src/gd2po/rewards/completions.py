"""The text that reward functions score, and the checks of their arguments."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gd2po.errors import InvalidInputError, InvalidTypeError
from gd2po.rewards.protocol import Completion


def completion_texts(completions: Sequence[Completion]) -> list[str]:
    """The text that is scored, one string per completion.

    A string is taken as it is. Of a message list it is the content of the last message of the assistant:
    after tool turns that is the answer the user sees, and joining the turns would repeat tags that may
    occur once. Content in blocks is the text blocks joined. A completion without an assistant message, or
    whose content is None, is the empty string: the policy wrote nothing that could be scored.

    Args:
        completions: N strings or message lists, as TRL passes them.

    Returns:
        N strings.

    Raises:
        InvalidTypeError: A completion is neither a string nor a list of messages.

    Example:
        >>> completion_texts(["a", [{"role": "assistant", "content": "b"}]])
        ['a', 'b']
    """
    _require_batch("completions", completions)
    return [_completion_text(completion, row) for row, completion in enumerate(completions)]


def paired_texts(completions: Sequence[Completion], answer: Sequence[str | None]) -> list[tuple[str, str | None]]:
    """Each completion's text with its reference, None where the data set has no reference for that row.

    Args:
        completions: N strings or message lists.
        answer: N reference texts or None.

    Returns:
        N pairs of text and reference.

    Raises:
        InvalidInputError: The two have different lengths.
        InvalidTypeError: A completion or a reference has the wrong type.

    Example:
        >>> paired_texts(["a", "b"], ["x", None])
        [('a', 'x'), ('b', None)]
    """
    texts = completion_texts(completions)
    _require_batch("answer", answer)
    if len(answer) != len(texts):
        raise InvalidInputError(
            f"`answer` needs one reference per completion: expected {len(texts)} "
            f"(the length of `completions`), got {len(answer)}."
        )
    for row, reference in enumerate(answer):
        if reference is not None and not isinstance(reference, str):
            raise InvalidTypeError(
                f"`answer[{row}]` must be the reference answer's text or None, "
                f"got {type(reference).__name__}. Convert that column of the data set to strings."
            )
    return list(zip(texts, answer, strict=True))


def require_range(low: float, high: float) -> None:
    """Raise unless `low` and `high` are finite numbers with low < high."""
    require_number("low", low)
    require_number("high", high)
    if not low < high:
        raise InvalidInputError(f"`low` must be smaller than `high`, got low={low} and high={high}.")


def require_number(name: str, value: float) -> None:
    """Raise unless the option `name` is a finite number."""
    if isinstance(value, (list, tuple)):
        raise InvalidTypeError(
            f"`{name}` must be a number, got a {type(value).__name__}. TRL passes every column of the "
            f"data set to the reward functions: if the data set has a column `{name}`, rename or remove it."
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"`{name}` must be a number, got {value!r} ({type(value).__name__}).")
    if not math.isfinite(value):
        raise InvalidInputError(f"`{name}` must be a finite number, got {value}.")


def _require_batch(name: str, values: Any) -> None:
    """Raise unless `values` is a sequence of items; a string would be read as a batch of characters."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise InvalidTypeError(
            f"`{name}` must be a list with one item per completion, got {type(values).__name__}. "
            f"For a single completion pass a list of one."
        )


def _completion_text(completion: Any, row: int) -> str:
    """The scored text of one completion."""
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, Sequence) or not all(isinstance(item, Mapping) for item in completion):
        raise InvalidTypeError(
            f"`completions[{row}]` must be a string or a list of messages ({{'role': ..., 'content': ...}}), "
            f"got {type(completion).__name__}."
        )
    for message in reversed(completion):
        if message.get("role", "assistant") == "assistant":
            return _content_text(message.get("content"), row)
    return ""


def _content_text(content: Any, row: int) -> str:
    """The text of a message's content: a string, a list of blocks, or None."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(isinstance(block, Mapping) for block in content):
        return "".join(str(block.get("text", "")) for block in content if block.get("type", "text") == "text")
    raise InvalidTypeError(
        f"`completions[{row}]`: the content of a message must be a string, a list of content blocks or None, "
        f"got {type(content).__name__}."
    )
