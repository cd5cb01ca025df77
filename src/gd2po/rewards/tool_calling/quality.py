"""The quality of an answer from 0 to 1: what graders and judges measure, and what settings are scored by."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gd2po.rewards.completions import paired_texts
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.scores import tool_call_correctness, tool_call_format


def answer_quality(
    completions: Sequence[Completion], answer: Sequence[str | None], **kwargs: Any
) -> list[float | None]:
    r"""How good each answer is, from 0 to 1.

    `tool_call_correctness` from 0 to 1 where the reference calls tools, `tool_call_format` where it calls none.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers' texts in RLLA format, or None.
        **kwargs: other columns and TRL's own keywords; not used.

    Returns:
        N scores in [0, 1]; None where the reference is None.

    Raises:
        InvalidInputError: `answer` and `completions` differ in length.
        InvalidTypeError: an argument has the wrong type.

    Example:
        >>> reference = "<think> easy </think>\n<response> 4 </response>"
        >>> answer_quality([reference, "4", "4"], [reference, reference, None])
        [1.0, 0.0, None]
    """
    return [
        None if reference is None else _quality(text, reference)
        for text, reference in paired_texts(completions, answer)
    ]


@lru_cache(maxsize=4096)
def _quality(text: str, reference: str) -> float:
    """Of one answer; several judges and evaluations ask for the same one."""
    correctness = tool_call_correctness([text], [reference], low=0.0, high=1.0)[0]
    layout = tool_call_format([text], [reference])[0]
    quality = layout if correctness is None else correctness
    assert quality is not None  # there is a reference
    return quality
