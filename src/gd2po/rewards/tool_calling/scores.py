"""Rewards for tool calling in the RLLA output format: right calls, right form, long enough thought."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gd2po.errors import InvalidInputError
from gd2po.rewards.completions import completion_texts, paired_texts, require_number, require_range
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.text import has_layout, layout_of, parse_tool_calls, think_text

ToolCall = dict[str, Any]


def tool_call_correctness(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    low: float = -3.0,
    high: float = 3.0,
    **kwargs: Any,
) -> list[float | None]:
    r"""How well each completion's tool calls match the reference's, from `low` to `high`.

    Score: `low + (high - low) * points / most`, and `low` where the completion has no parsable
    `<tool_call>` block (see `parse_tool_calls`).

    points = similarity of the two multisets of names, plus for each reference call, in order, what the best
    unused predicted call of the same name gets: the similarity of the two sets of parameter names, plus 1 for
    each reference parameter with an equal value. Similarity is shared / (size + size - shared), 1 for two
    empty sets.

    most = 1 + the sum over reference calls of (1 + number of parameters): what equal calls get. So these
    give exactly `high`, in any order. Values are equal as in Python: 1, 1.0 and true are, 1 and "1" are
    not, NaN is equal to nothing.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers' texts, or None.
        low: Score without a parsable block, and of calls that share no name with the reference's.
        high: Score of calls equal to the reference's.
        **kwargs: Other columns and TRL's own keywords; not used.

    Returns:
        N scores in [low, high]; None where the reward does not apply: the reference is None or holds no
        parsable tool call.

    Raises:
        InvalidInputError: `answer` and `completions` differ in length, or `low` is not below `high`.
        InvalidTypeError: An argument has the wrong type.

    Example:
        >>> reference = '<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
        >>> tool_call_correctness([reference, reference.replace("1", "2"), "no call"], [reference] * 3)
        [3.0, 1.0, -3.0]

    Source: ToolRL (arXiv:2504.13958), correctness reward.

    Deviations: ToolRL scores 0 where this returns None. Which text counts as the block: see
    `parse_tool_calls`.
    """
    require_range(low, high)
    scores: list[float | None] = []
    for text, reference_text in paired_texts(completions, answer):
        reference = parse_tool_calls(reference_text) if reference_text is not None else None
        scores.append(None if reference is None else _correctness(text, reference, low, high))
    return scores


def tool_call_format(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    low: float = 0.0,
    high: float = 1.0,
    **kwargs: Any,
) -> list[float | None]:
    r"""`high` where a completion is laid out exactly as its reference is, else `low`.

    The layout is `<think> ... </think>` followed by what the reference has after its think block: a tool
    call, a response, both in this order, or neither. The parts are separated by one newline, the tool-call
    tags stand on lines of their own, each tag occurs once and tags of no other part occur. Nothing comes
    before, and after it at most one newline. What the parts say is not looked at.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers' texts, or None.
        low: Score of any other text.
        high: Score of the exact layout.
        **kwargs: Other columns and TRL's own keywords; not used.

    Returns:
        N scores, each `low` or `high`; None where the reference is None.

    Raises:
        InvalidInputError: `answer` and `completions` differ in length, or `low` is not below `high`.
        InvalidTypeError: An argument has the wrong type.

    Example:
        >>> reference = "<think> easy </think>\n<response> 4 </response>"
        >>> tool_call_format([reference, "4"], [reference, reference])
        [1.0, 0.0]

    Source: ToolRL (arXiv:2504.13958), format reward.

    Deviations: ToolRL does not count the think tags, nor those of the parts that the reference does not
    have, and takes a tag that the reference's think block only mentions for a part.
    """
    require_range(low, high)
    return [
        None if reference is None else float(high if has_layout(text, layout_of(reference)) else low)
        for text, reference in paired_texts(completions, answer)
    ]


def think_length(
    completions: Sequence[Completion],
    answer: Sequence[str | None] | None = None,
    *,
    target_words: float = 512,
    low: float = 0.0,
    high: float = 1.0,
    **kwargs: Any,
) -> list[float | None]:
    """How long each completion thinks: `high` from `target_words` words on, `low` without think tags.

    `low + (high - low) * min(1, round(words / target_words, 2))`, with the words between the last `<think>`
    and the `</think>` after it, separated by white space.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: Not used: the reward does not depend on the reference.
        target_words: Number of words from which on the score is `high`; greater than 0.
        low: Score of no words.
        high: Score of `target_words` words and more.
        **kwargs: Other columns and TRL's own keywords; not used.

    Returns:
        N scores in [low, high]. The reward applies to every completion, so none is None.

    Raises:
        InvalidInputError: `target_words` is not positive, or `low` is not below `high`.
        InvalidTypeError: An argument has the wrong type.

    Example:
        >>> think_length(["<think> one two three </think>", "one two three"], target_words=4)
        [0.75, 0.0]

    Source: GDPO (arXiv:2601.05242) and GD²PO (arXiv:2606.16771), length reward of the tool-calling runs.

    Deviations: the official code counts up to the end of the text when the last `<think>` is not closed but
    an earlier one is.
    """
    require_range(low, high)
    require_number("target_words", target_words)
    if target_words <= 0:
        raise InvalidInputError(f"`target_words` must be greater than 0, got {target_words}.")
    scores: list[float | None] = []
    for text in completion_texts(completions):
        thought = think_text(text)
        share = 0.0 if thought is None else min(1.0, round(len(thought.split()) / target_words, 2))
        scores.append(low + (high - low) * share)
    return scores


def _correctness(text: str, reference: list[ToolCall], low: float, high: float) -> float:
    """Score of one completion against the reference's calls."""
    predicted = parse_tool_calls(text)
    if predicted is None:
        return float(low)
    try:
        points = _points(predicted, reference)
    except RecursionError:  # values nested just below the parser's limit can still be too deep to compare
        return float(low)
    most = 1 + sum(1 + len(call["parameters"]) for call in reference)
    # The order of operations is the published one, so that scores agree to the last bit; `min` because
    # (high - low) * most / most may round up.
    return min(float(high), (high - low) * points / most + low)


def _points(predicted: list[ToolCall], reference: list[ToolCall]) -> float:
    """Points of the predicted calls: names, then each reference call's best match."""
    points = _similarity([call["name"] for call in predicted], [call["name"] for call in reference])
    unused = list(predicted)
    for expected in reference:
        candidates = [call for call in unused if call["name"] == expected["name"]]
        if not candidates:
            continue
        gains = [_parameter_points(call["parameters"], expected["parameters"]) for call in candidates]
        best = max(gains)
        if best > 0:
            points += best
            chosen = candidates[gains.index(best)]
            unused = [call for call in unused if call is not chosen]
    return points


def _parameter_points(predicted: dict[str, Any], reference: dict[str, Any]) -> float:
    """Similarity of the parameter names plus the number of reference parameters with an equal value."""
    equal = sum(1 for name, value in reference.items() if name in predicted and predicted[name] == value)
    return _similarity(list(predicted), list(reference)) + equal


def _similarity(first: list[str], second: list[str]) -> float:
    """Jaccard similarity of two multisets: 1 for equal ones, empty ones included."""
    first_counts, second_counts = Counter(first), Counter(second)
    shared = (first_counts & second_counts).total()
    union = first_counts.total() + second_counts.total() - shared
    return 1.0 if union == 0 else shared / union
