"""Noisy demonstrations for the built-in policy: how teachers with habits, slips and a liking for long thoughts answer.

Three kinds of noise, because each gives reinforcement learning something else to do:

* habits, tied to the type of a parameter, the tool or the kind of request, and so visible from the prompt. Greedy
  decoding takes a habit that is more likely than not; sampling gets it right often enough to learn from.
* slips anywhere, a few per cent.
* a trade-off: each further sentence of thinking makes a slip more likely.
"""

from __future__ import annotations

import random

from gd2po.data.toolcalls.task import Argument, Call, ToolCallExample, rlla_answer, spoken_name
from gd2po.data.toolcalls.tools import TOOLS

HABIT_RATE = 0.58
FORMAT_HABIT_RATE = 0.58
FIRST_SLIP_RATE = 0.02
SLIP_RATE_PER_SENTENCE = 0.03
SENTENCE_WEIGHTS = (0.20, 0.38, 0.22, 0.11, 0.06, 0.03)
"""How often a demonstration thinks in 1, 2, ... 6 sentences."""

NUMBER_AS_TEXT = {"set_thermostat": "degrees", "send_money": "amount", "order_food": "portions", "buy_tickets": "seats"}
UNCLOSED_DOMAIN = "travel"
KIND_SHARES = {"one_call": 0.45, "two_calls": 0.22, "small_talk": 0.05, "no_tool": 0.14, "missing": 0.14}
"""How often each kind of request is demonstrated: the hard ones more often than the task asks for them."""

_FILLERS = (
    "Let me read the request once more.",
    "I want to be careful here.",
    "There are several tools on the list.",
    "This seems to be clear enough.",
    "I could ask again, but that is not needed.",
    "The user will be glad to have this done.",
    "It is good to take this step by step.",
    "Nothing else has to be done first.",
    "I have seen requests like this before.",
    "The other tools are for other things.",
)
# Between backticks a name is the same token as in the list of tools, so the policy can learn to look it up there.
_OPENINGS = ("The right tool is `{}`.", "I should use `{}` here.", "This request is for `{}`.", "It calls for `{}`.")


def plain_demonstration(example: ToolCallExample, rng: random.Random) -> str:
    """A right answer after a plain thought, which restates the request every other time.

    Little in it is left to chance, so the skills are learned from it far sooner than from the noisy ones.
    """
    calls = [call.as_json() for call in example.calls]
    sentences = _useful_sentences(example, calls, _OPENINGS[0])
    count = rng.randint(1, 2) if calls else 2
    return rlla_answer(" ".join(sentences[:count]), calls, example.response)


def demonstration(example: ToolCallExample, rng: random.Random) -> str:
    """One teacher's answer to the prompt of an example, in RLLA format unless a habit or a slip breaks it.

    Args:
        example: prompt and what is known about its answer.
        rng: source of every choice; the same state gives the same text.

    Returns:
        The completion's text.
    """
    calls = [_with_habit(call, rng) for call in example.calls]
    sentences = _thought(example, calls, rng)
    slip = rng.random() < FIRST_SLIP_RATE + SLIP_RATE_PER_SENTENCE * (len(sentences) - 1)
    kind = rng.choices(("value", "tool", "json", "format"), weights=(0.45, 0.15, 0.15, 0.25))[0] if slip else None
    if kind in ("value", "tool") and calls:
        index = rng.randrange(len(calls))
        calls[index] = _wrong_value(calls[index], rng) if kind == "value" else _wrong_tool(calls[index], example, rng)
    text = rlla_answer(" ".join(sentences), calls, example.response)
    text = _with_format_habit(text, example, rng)
    if kind == "json" and calls:
        return _broken_json(text, rng)
    return _broken_format(text, rng) if kind == "format" else text


def _with_habit(call: Call, rng: random.Random) -> dict[str, object]:
    """The call as JSON, with the teachers' habits at their rate."""
    if rng.random() >= HABIT_RATE:
        return call.as_json()
    name = call.tool.name
    return {"name": name, "parameters": {item.parameter.name: _habitual_value(name, item) for item in call.arguments}}


def _habitual_value(tool: str, item: Argument) -> object:
    """The value of an argument as teachers with a habit write it: dates with slashes, some numbers as text."""
    if item.parameter.type == "date":
        return str(item.value).replace("-", "/")
    if NUMBER_AS_TEXT.get(tool) == item.parameter.name:
        return str(item.value)
    return item.value


def _useful_sentences(example: ToolCallExample, calls: list[dict[str, object]], opening: str) -> list[str]:
    """What a thought has to say: the tools and then what the request gives, or why no tool is called."""
    if example.kind == "small_talk":
        return ["This is small talk.", "No tool is needed."]
    if example.kind == "no_tool" and example.intended is None:
        return ["No tool can do this.", "None of them fits the request."]
    if example.intended is None:
        names = "` and `".join(str(call["name"]) for call in calls)
        said = [_said(item) for call in example.calls for item in call.arguments]
        return [opening.format(names), f"It says {', '.join(said)}."]
    first = opening.format(example.intended.tool.name)
    if example.missing is None:
        return [first, "That is not on the list."]
    said = [_said(item) for item in example.intended.arguments]
    return [first, f"It says {', '.join([*said, f'no {spoken_name(example.missing)}'])}."]


def _said(item: Argument) -> str:
    """The name of an argument and how the request puts it."""
    return f"{spoken_name(item.parameter.name)} {item.said}"


def _thought(example: ToolCallExample, calls: list[dict[str, object]], rng: random.Random) -> list[str]:
    """Sentences of thinking: the useful ones first in line, then fillers at random places."""
    count = rng.choices(range(1, len(SENTENCE_WEIGHTS) + 1), weights=SENTENCE_WEIGHTS)[0]
    useful = _useful_sentences(example, calls, rng.choice(_OPENINGS))
    if not calls:
        count = max(count, 2)  # that no tool is called has to be said
    elif count > 1 and rng.random() < 0.15:
        useful = useful[:1]
    sentences = useful[:count]
    for filler in rng.sample(_FILLERS, count - len(sentences)):
        sentences.insert(rng.randint(0, len(sentences)), filler)
    return sentences


def _with_format_habit(text: str, example: ToolCallExample, rng: random.Random) -> str:
    """The text without the closing tag that teachers tend to forget after a call of one domain."""
    if example.calls and example.calls[-1].tool.domain == UNCLOSED_DOMAIN and rng.random() < FORMAT_HABIT_RATE:
        return text.replace("\n</tool_call>", "")
    return text


def _wrong_value(call: dict[str, object], rng: random.Random) -> dict[str, object]:
    """The call with one value replaced by another of the same type, or by a wrong date."""
    tool = TOOLS[str(call["name"])]
    parameters = dict(call["parameters"])  # type: ignore[call-overload]
    name = rng.choice([name for name in parameters if name in {p.name for p in tool.parameters}] or list(parameters))
    value = parameters[name]
    pool = [other for p in tool.parameters if p.name == name for other in p.values if other != value]
    parameters[name] = rng.choice(pool) if pool else f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return {**call, "parameters": parameters}


def _wrong_tool(call: dict[str, object], example: ToolCallExample, rng: random.Random) -> dict[str, object]:
    """The call with the name of another tool of the prompt."""
    return {**call, "name": rng.choice([tool.name for tool in example.tools if tool.name != call["name"]])}


def _broken_json(text: str, rng: random.Random) -> str:
    """The text with a brace or a quotation mark of the last call missing."""
    return rng.choice((
        text.replace("}}\n</tool_call>", "}\n</tool_call>"),
        text.replace('", "parameters"', ', "parameters"'),
        text.replace('"parameters": {', '"parameters": '),
    ))  # fmt: skip


def _broken_format(text: str, rng: random.Random) -> str:
    """The text with one of the usual faults of format."""
    faults = [
        text.replace(" </think>", ""),
        text.split("</think>\n")[-1],
        text + "\nI hope this helps.",
    ]
    return rng.choice(faults)
