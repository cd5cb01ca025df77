"""Scoring of the built-in task `toolcalls`: is an answer exactly right? Pure; no model, no generation."""

from gd2po.rewards import parse_tool_calls

_RESPONSE_OPEN, _RESPONSE_CLOSE = "<response>", "</response>"


def exact_call(completion: str, answer: str) -> bool:
    r"""True where a completion does exactly what the reference answer does.

    Where the reference calls tools: the completion's calls parse and are the reference's, each once, in any
    order. Names, parameter names and values all have to be equal, as `tool_call_correctness` compares them for
    its highest score. Where the reference calls none: the completion opens no `<tool_call>` and has a closed
    `<response>` block, whatever it says. The rest of the layout is the format reward's concern.

    Args:
        completion: any string.
        answer: the reference answer's text in RLLA format.

    Returns:
        Whether the completion is right.

    Example:
        >>> answer = '<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
        >>> exact_call(answer, answer), exact_call(answer.replace("1", '"1"'), answer)
        (True, False)
        >>> exact_call("<response> Hello! </response>", "<response> Hi. </response>")
        True
    """
    expected = parse_tool_calls(answer)
    if expected is None:
        _, opened, rest = completion.partition(_RESPONSE_OPEN)
        return "<tool_call>" not in completion and bool(opened) and _RESPONSE_CLOSE in rest
    predicted = parse_tool_calls(completion)
    if predicted is None or len(predicted) != len(expected):
        return False
    unmatched = [(call["name"], call["parameters"]) for call in predicted]
    for call in expected:
        wanted = (call["name"], call["parameters"])
        if wanted not in unmatched:
            return False
        unmatched.remove(wanted)
    return True
