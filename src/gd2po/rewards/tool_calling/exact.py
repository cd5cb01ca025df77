"""Exactly right answers: a score to report on held-out prompts beside the rewards that are trained on."""

from collections.abc import Sequence
from typing import Any

from gd2po.rewards.completions import paired_texts
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.text import RESPONSE_CLOSE, RESPONSE_OPEN, TOOL_CALL_OPEN, parse_tool_calls


def exact_calls(completions: Sequence[Completion], answer: Sequence[str | None], **kwargs: Any) -> list[float | None]:
    r"""Whether each completion does exactly what its reference answer does: 1 or 0.

    Where the reference calls tools: the completion's calls parse and are the reference's, each once, in any
    order. Names, parameter names and values all have to be equal, as `tool_call_correctness` compares them for
    its highest score. Where the reference calls none: the completion opens no `<tool_call>` and has a closed
    `<response>` block, whatever it says. The rest of the layout is the format reward's concern.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers in RLLA format; None where there is none.
        **kwargs: Other columns and TRL's own keywords; not used.

    Returns:
        N scores, 1.0 or 0.0; None without a reference. Their mean is the share of exactly right answers.

    Raises:
        InvalidInputError: `answer` and `completions` have different lengths.
        InvalidTypeError: A completion or a reference has the wrong type.

    Example:
        >>> answer = '<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
        >>> exact_calls([answer, answer.replace("1", '"1"'), "1"], [answer, answer, None])
        [1.0, 0.0, None]
        >>> exact_calls(["<response> Hello! </response>"], ["<response> Hi. </response>"])
        [1.0]
    """
    return [
        None if reference is None else float(_is_exact(text, reference))
        for text, reference in paired_texts(completions, answer)
    ]


def _is_exact(text: str, reference: str) -> bool:
    """Whether one completion is right."""
    expected = parse_tool_calls(reference)
    if expected is None:
        _, opened, rest = text.partition(RESPONSE_OPEN)
        return TOOL_CALL_OPEN not in text and bool(opened) and RESPONSE_CLOSE in rest
    predicted = parse_tool_calls(text)
    if predicted is None or len(predicted) != len(expected):
        return False
    unmatched = [(call["name"], call["parameters"]) for call in predicted]
    for call in expected:
        wanted = (call["name"], call["parameters"])
        if wanted not in unmatched:
            return False
        unmatched.remove(wanted)
    return True
