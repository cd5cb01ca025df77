"""The built-in procedural task `toolcalls`: requests, a list of typed tools, and the right answer in RLLA format."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from gd2po.data.toolcalls.tools import ERRANDS, SMALL_TALK, TOOLS, JSONScalar, Parameter, Tool
from gd2po.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from datasets import Dataset

Split = Literal["train", "test"]
Level = Literal["all", "easy"]
Kind = Literal["one_call", "two_calls", "small_talk", "no_tool", "missing"]

SYSTEM_PROMPT = "Write <think>, then <tool_call> or <response>. It is 2026. Tools:"
KIND_SHARES: Mapping[Kind, float] = {
    "one_call": 0.68,
    "two_calls": 0.10,
    "small_talk": 0.08,
    "no_tool": 0.05,
    "missing": 0.09,
}
"""How often each kind of request is drawn. The last three need no call."""

POLICY_PATH = Path(__file__).parent / "policy"
"""Folder of the built-in policy, for `from_pretrained`. `scripts/make_toolcalls_policy.py` makes it."""

DEFAULT_SIZES: Mapping[Split, int] = {"train": 4096, "test": 512}

_FRAMES = ("{}.", "Please {}.", "Can you {}?", "Could you {}?", "I want you to {}.", "Hi, {}.", "{}, please.")
_REMARK_FRAMES = ("{}.", "{}!", "Hey, {}.", "Well, {}.")
_JOINS = ("{} and {}", "{}, then {}", "{} and also {}", "first {} and then {}")
_TEST_SHARE = 0.2
_ERRAND_SHARE = 0.7  # of the requests that no listed tool fits; the others fit a tool that is not on the list
_YEAR = 2026
_ORDINAL_SUFFIXES = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
_MONTHS = (
    ("January", 31), ("February", 28), ("March", 31), ("April", 30), ("May", 31), ("June", 30), ("July", 31),
    ("August", 31), ("September", 30), ("October", 31), ("November", 30), ("December", 31),
)  # fmt: skip
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Argument:
    """One argument of a call: its JSON value and the words that the request says it with."""

    parameter: Parameter
    value: JSONScalar
    said: str


@dataclass(frozen=True)
class Call:
    """One call that a request asks for: the tool and the arguments that the request gives."""

    tool: Tool
    arguments: tuple[Argument, ...]

    def as_json(self) -> dict[str, object]:
        """The call as the object that the RLLA format writes on one line."""
        return {"name": self.tool.name, "parameters": {item.parameter.name: item.value for item in self.arguments}}


@dataclass(frozen=True)
class ToolCallExample:
    """One prompt of the task with all that is known about its answer.

    Args:
        kind: what the request needs.
        request: the user's words.
        tools: the tools that the prompt lists, in its order.
        calls: the calls that the request needs; empty where it needs none.
        intended: the call that a request of kind `missing` asks for, as far as it goes, or one of kind `no_tool` for a
            tool that is not on the list; else None.
        missing: the required parameter that a request of kind `missing` leaves out; None for other kinds.
        response: what to say where no call is needed, else empty.
    """

    kind: Kind
    request: str
    tools: tuple[Tool, ...]
    calls: tuple[Call, ...] = ()
    intended: Call | None = None
    missing: str | None = None
    response: str = ""

    @property
    def prompt(self) -> list[dict[str, str]]:
        """System message with the tools, one a line, and user message with the request."""
        system = "\n".join([SYSTEM_PROMPT, *(tool.signature for tool in self.tools)])
        return [{"role": "system", "content": system}, {"role": "user", "content": self.request}]

    @property
    def thought(self) -> str:
        """One or two sentences that settle what to do: the text that the reference answer thinks."""
        if self.kind == "small_talk":
            return "This is small talk. No tool is needed."
        if self.kind == "no_tool":
            return "None of the tools on the list fits this request."
        if self.kind == "missing" and self.intended and self.missing:
            return f"The request fits {self.intended.tool.name}. The {spoken_name(self.missing)} is missing."
        return " ".join(f"The right tool is {call.tool.name}. {restatement(call)}" for call in self.calls)

    @property
    def answer(self) -> str:
        """The reference answer, in the RLLA output format to the letter."""
        return rlla_answer(self.thought, [call.as_json() for call in self.calls], self.response)

    @property
    def is_easy(self) -> bool:
        """Whether it needs at most one call, with neither a date nor a decimal number in it."""
        calls = self.calls or ((self.intended,) if self.intended else ())
        kinds = {argument.parameter.type for call in calls for argument in call.arguments}
        return len(self.calls) < 2 and kinds.isdisjoint({"date", "number"})

    @property
    def split(self) -> Split:
        """The split that the prompt belongs to, from a hash of the request and the set of tools in the prompt."""
        key = "\n".join([self.request, *sorted(tool.signature for tool in self.tools)])
        digest = hashlib.sha256(key.encode()).digest()
        return "test" if int.from_bytes(digest[:8], "big") < _TEST_SHARE * 2**64 else "train"


def spoken_name(parameter: str) -> str:
    """A parameter's name with spaces for underscores."""
    return parameter.replace("_", " ")


def restatement(call: Call) -> str:
    """A sentence that repeats the arguments of a call as the request says them."""
    said = ", ".join(f"{spoken_name(item.parameter.name)} {item.said}" for item in call.arguments)
    return f"It says {said}."


def rlla_answer(thought: str, calls: list[dict[str, object]], response: str = "") -> str:
    """An answer in the RLLA output format.

    Args:
        thought: text inside the think tags.
        calls: objects with `name` and `parameters`, one line each; empty for no `<tool_call>` block.
        response: text inside the response tags; empty for no `<response>` block.

    Returns:
        The blocks, each on its own line or lines.

    Example:
        >>> print(rlla_answer("Easy.", [{"name": "add", "parameters": {"a": 1}}]))
        <think> Easy. </think>
        <tool_call>
        {"name": "add", "parameters": {"a": 1}}
        </tool_call>

    Source:
        The output format of ToolRL's RLLA data, arXiv:2504.13958.
    """
    lines = [f"<think> {thought} </think>"]
    if calls:
        lines += ["<tool_call>", *(json.dumps(call, ensure_ascii=False) for call in calls), "</tool_call>"]
    if response:
        lines.append(f"<response> {response} </response>")
    return "\n".join(lines)


def toolcall_examples(split: Split, *, seed: int = 0) -> Iterator[ToolCallExample]:
    """An endless stream of distinct prompts of one split.

    Args:
        split: "train" or "test". A prompt's request and its set of tools decide which split it belongs to, so
            the splits are disjoint whatever the seeds.
        seed: the same seed gives the same stream, on any platform.

    Returns:
        Iterator over examples.

    Raises:
        InvalidInputError: `split` is neither "train" nor "test".

    Example:
        >>> example = next(toolcall_examples("train", seed=1))
        >>> print(example.request)
        Hi, get 9 servings of sushi delivered from Olive Tree.
        >>> [tool.name for tool in example.tools]
        ['order_food', 'set_lights', 'book_table']
    """
    if split not in ("train", "test"):
        raise InvalidInputError(f'`split` needs "train" or "test", got {split!r}.')
    return _stream(split, random.Random(f"toolcalls {split} {seed}"))


def toolcall_prompts(
    split: Split, size: int | None = None, *, seed: int = 0, level: Level = "all"
) -> list[ToolCallExample]:
    """The rows of `load_toolcalls` with all that is known about them; arguments and errors as there."""
    rows = DEFAULT_SIZES.get(split, 1) if size is None else size
    if rows < 1:
        raise InvalidInputError(f"`size` needs at least one row, got {size}. Leave it out for the default.")
    stream = toolcall_examples(split, seed=seed)
    return list(islice((example for example in stream if level == "all" or example.is_easy), rows))


def load_toolcalls(split: Split, size: int | None = None, *, seed: int = 0, level: Level = "all") -> Dataset:
    """The built-in task as a data set with the columns `prompt` and `answer`.

    Args:
        split: "train" or "test"; no prompt is in both, whatever the sizes and seeds.
        size: number of rows; None means 4096 for "train" and 512 for "test".
        seed: the same seed gives the same rows; a smaller size gives the first of them.
        level: "all", or "easy" for those that need at most one call and give no date or decimal number in it.

    Returns:
        `datasets.Dataset` with `prompt` (a system and a user message) and `answer` (reference text in RLLA format).
        About 68 % of the requests need one call, 10 % two, and 22 % none: small talk, requests that no listed
        tool fits, and requests that leave a required parameter out.

    Raises:
        InvalidInputError: `split` is unknown or `size` is below 1.
        MissingDependencyError: the package `datasets` is not installed.

    Example:
        >>> load_toolcalls("test", 3).column_names
        ['prompt', 'answer']
    """
    examples = toolcall_prompts(split, size, seed=seed, level=level)
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingDependencyError("load_toolcalls needs datasets: pip install 'gd2po[trl]'.") from error
    return Dataset.from_dict({
        "prompt": [example.prompt for example in examples],
        "answer": [example.answer for example in examples],
    })  # fmt: skip


def _stream(split: Split, rng: random.Random) -> Iterator[ToolCallExample]:
    """Draws examples and passes on those of the split that were not drawn before."""
    seen: set[tuple[str, frozenset[str]]] = set()
    while True:
        example = _draw_example(rng)
        key = (example.request, frozenset(tool.name for tool in example.tools))
        if example.split == split and key not in seen:
            seen.add(key)
            yield example


def _draw_example(rng: random.Random) -> ToolCallExample:
    """One example of any split."""
    kind = rng.choices(list(KIND_SHARES), weights=list(KIND_SHARES.values()))[0]
    if kind == "small_talk":
        remark, response = rng.choice(SMALL_TALK)
        listed = _listed_tools([], rng, size=3)
        return ToolCallExample(kind, _sentence(remark, _REMARK_FRAMES, rng), listed, response=response)
    first = rng.choice(list(TOOLS.values()))
    if kind == "no_tool":
        errand = rng.random() < _ERRAND_SHARE
        clause, call = (rng.choice(ERRANDS), None) if errand else _draw_clause(first, rng)
        listed = _listed_tools([], rng, size=3, without=first)
        return ToolCallExample(
            kind, _sentence(clause, _FRAMES, rng), listed, intended=call, response="Sorry, I have no tool for that."
        )
    if kind == "missing":
        template, parameter = rng.choice(first.incomplete)
        clause, call = _draw_clause(first, rng, template)
        return ToolCallExample(
            kind, _sentence(clause, _FRAMES, rng), _listed_tools([first], rng, size=3), intended=call,
            missing=parameter, response=f"Please tell me the {spoken_name(parameter)}.",
        )  # fmt: skip
    wanted = [first] if kind == "one_call" else [first, rng.choice(list(TOOLS.values()))]
    drawn = [_draw_clause(tool, rng) for tool in wanted]
    clauses = [clause for clause, _ in drawn]
    text = clauses[0] if len(clauses) == 1 else rng.choice(_JOINS).format(*clauses)
    listed = _listed_tools(wanted, rng, size=3 if kind == "one_call" else 4)
    return ToolCallExample(kind, _sentence(text, _FRAMES, rng), listed, tuple(call for _, call in drawn))


def _sentence(clause: str, frames: tuple[str, ...], rng: random.Random) -> str:
    """The clause in one of the frames, with a capital at the start."""
    text = rng.choice(frames).format(clause)
    return text[0].upper() + text[1:]


def _listed_tools(
    wanted: list[Tool], rng: random.Random, *, size: int, without: Tool | None = None
) -> tuple[Tool, ...]:
    """The wanted tools, a look-alike of the first in two cases of three, and others, in random order."""
    listed = {tool.name: tool for tool in wanted}
    if wanted and rng.random() < 2 / 3:
        lookalike = TOOLS[wanted[0].lookalike]
        listed[lookalike.name] = lookalike
    barred = {without.name, without.lookalike} if without else set()
    others = [tool for tool in TOOLS.values() if tool.name not in listed.keys() | barred]
    if without:
        others = [tool for tool in others if tool.lookalike != without.name]
    tools = [*listed.values(), *rng.sample(others, size - len(listed))]
    rng.shuffle(tools)
    return tuple(tools)


def _draw_clause(tool: Tool, rng: random.Random, template: str | None = None) -> tuple[str, Call]:
    """A clause that asks for a tool, and the call it asks for."""
    text = template or rng.choice(tool.phrasings)
    slots: dict[str, str] = {}
    arguments: list[Argument] = []
    for parameter in tool.parameters:
        if not parameter.required and (template or rng.random() < 0.5):
            slots[parameter.name] = ""
            continue
        argument = _draw_argument(parameter, rng, taken=[item.value for item in arguments])
        slots[parameter.name] = parameter.wording.get(argument.value, argument.said)
        if f"{{{parameter.name}}}" in text:
            arguments.append(argument)
    return text.format(**slots), Call(tool, tuple(arguments))


def _draw_argument(parameter: Parameter, rng: random.Random, *, taken: list[JSONScalar]) -> Argument:
    """A value and its wording; a text or enum value is not drawn twice in one call."""
    if parameter.type == "date":
        return _draw_date(parameter, rng)
    if parameter.type in ("string", "enum"):
        value = rng.choice([value for value in parameter.values if value not in taken])
        return Argument(parameter, value, str(value))
    value = rng.choice(parameter.values)
    if parameter.type == "boolean":
        return Argument(parameter, value, "true" if value else "false")
    if parameter.type == "integer" and cast(int, value) < 10 and rng.random() < 0.25:
        return Argument(parameter, value, _NUMBER_WORDS[cast(int, value)])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return Argument(parameter, value, str(value))


def _draw_date(parameter: Parameter, rng: random.Random) -> Argument:
    """A day, its ISO form as the value and one of the ways people write it."""
    year = _YEAR + 1 if rng.random() < 0.1 else _YEAR
    month = rng.randint(1, 12)
    name, days = _MONTHS[month - 1]
    day = date(year, month, rng.randint(1, days))
    ordinal = f"{day.day}{_ORDINAL_SUFFIXES.get(day.day, 'th')}"
    said = rng.choice([f"{day.day} {name} {year}", f"{name} {day.day}, {year}"])
    if year == _YEAR and rng.random() < 0.6:
        said = rng.choice([f"{day.day} {name}", f"{name} {day.day}", f"the {ordinal} of {name}"])
    return Argument(parameter, day.isoformat(), said)
