"""The RLLA output format: what is read out of a completion's text. No scores here.

The format is `<think> ... </think>`, then `<tool_call>`, one JSON object per line and `</tool_call>`, and /
or `<response> ... </response>`, each part on a line of its own. Every function takes any string and raises
nothing, and takes time linear in its length.
"""

import json
import re
from itertools import product, starmap
from typing import Any, Final, NamedTuple

THINK_OPEN: Final = "<think>"
THINK_CLOSE: Final = "</think>"
TOOL_CALL_OPEN: Final = "<tool_call>"
TOOL_CALL_CLOSE: Final = "</tool_call>"
RESPONSE_OPEN: Final = "<response>"
RESPONSE_CLOSE: Final = "</response>"


class Layout(NamedTuple):
    """The parts of an output after its think block."""

    tool_call: bool
    response: bool


def _pattern(layout: Layout) -> re.Pattern[str]:
    """The exact text of a layout. The one newline at the end is what many chat templates leave behind."""
    parts = [r"<think>.*?</think>"]
    if layout.tool_call:
        parts.append(r"<tool_call>\n.*?\n</tool_call>")
    if layout.response:
        parts.append(r"<response>.*?</response>")
    return re.compile(r"\n".join(parts) + r"\n?", re.DOTALL)


_LAYOUTS: Final = tuple(starmap(Layout, product((False, True), repeat=2)))
_PATTERNS: Final = {layout: _pattern(layout) for layout in _LAYOUTS}


def parse_tool_calls(text: str) -> list[dict[str, Any]] | None:
    r"""The tool calls in `text`, in order, or None where there is no parsable `<tool_call>` block.

    The block is the first one after the think block; where nothing follows the think block, or it is not
    closed, the first one anywhere. Each of its lines is one JSON object with a string `name` and an object
    `parameters`; further keys are kept. One line that is anything else (blank, cut off, a list, `arguments`
    in place of `parameters`, nested beyond what the JSON parser can follow) makes the whole block
    unparsable, because a host that runs the calls could not tell what was meant. Numbers are read as
    Python's `json` reads them, the literals NaN and Infinity included; of a duplicate key the last value
    counts.

    Args:
        text: Any string.

    Returns:
        At least one call, or None.

    Example:
        >>> parse_tool_calls('<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>')
        [{'name': 'add', 'parameters': {'a': 1}}]
        >>> parse_tool_calls('<tool_call>\n{"name": "add", "parame') is None
        True

    Source: output format of ToolRL (arXiv:2504.13958).

    Deviations: ToolRL reads the first `<tool_call>` anywhere, so a think block that mentions the tag hides
    the calls after it (4 % of its own demonstrations do), and looks for `parameters` only in calls whose
    name is in the reference.
    """
    block = _tool_call_block(text)
    if block is None:
        return None
    calls = []
    for line in block.strip().split("\n"):
        call = _parse_call(line)
        if call is None:
            return None
        calls.append(call)
    return calls


def has_layout(text: str, layout: Layout) -> bool:
    """True where `text` is exactly a think block and the parts of `layout`, each tag once, no other tag."""
    tags = (
        (True, THINK_OPEN, THINK_CLOSE),
        (layout.tool_call, TOOL_CALL_OPEN, TOOL_CALL_CLOSE),
        (layout.response, RESPONSE_OPEN, RESPONSE_CLOSE),
    )
    # Counting first also keeps the pattern linear: with each tag in one place it has nowhere to backtrack to.
    if any(text.count(tag) != int(present) for present, *pair in tags for tag in pair):
        return False
    return _PATTERNS[layout].fullmatch(text) is not None


def layout_of(text: str) -> Layout:
    """The parts that `text` has after its think block, or anywhere where no think block is closed."""
    _, closed, rest = text.partition(THINK_CLOSE)
    visible = rest if closed else text
    return Layout(tool_call=TOOL_CALL_OPEN in visible, response=RESPONSE_OPEN in visible)


def think_text(text: str) -> str | None:
    """The text inside the last think block, or None where it is not both opened and closed."""
    start = text.rfind(THINK_OPEN)
    if start < 0:
        return None
    start += len(THINK_OPEN)
    end = text.find(THINK_CLOSE, start)
    return None if end < 0 else text[start:end]


def _tool_call_block(text: str) -> str | None:
    """The text between the tool-call tags, or None where one of them is missing."""
    thought_end = text.find(THINK_CLOSE)
    start = text.find(TOOL_CALL_OPEN, max(thought_end, 0))
    if start < 0:
        start = text.find(TOOL_CALL_OPEN)
    if start < 0:
        return None
    start += len(TOOL_CALL_OPEN)
    end = text.find(TOOL_CALL_CLOSE, start)
    return None if end < 0 else text[start:end]


def _parse_call(line: str) -> dict[str, Any] | None:
    """One call, or None where the line is not one."""
    try:
        call = json.loads(line)
    except (ValueError, RecursionError):  # ValueError also for an integer of more digits than Python takes
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    return call if isinstance(call.get("parameters"), dict) else None
