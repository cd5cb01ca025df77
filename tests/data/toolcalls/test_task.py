"""The procedural task: what it draws, how it writes it, and that its splits never meet."""

import json
import re
from collections import Counter
from datetime import date
from itertools import chain, islice

import pytest

from gd2po.data.toolcalls.task import (
    DEFAULT_SIZES,
    KIND_SHARES,
    SYSTEM_PROMPT,
    ToolCallExample,
    load_toolcalls,
    toolcall_examples,
    toolcall_prompts,
)
from gd2po.data.toolcalls.tools import ERRANDS, TOOLS
from gd2po.errors import InvalidInputError

SAMPLE_SIZE = 4000
FIRST_TEST_REQUESTS = [
    "Hi, hire a compact car for 9 days in Vienna.",
    "Hi, purchase 81 shares of Sony with a limit of 42, then add birthday party to my calendar on the 21st of "
    "September.",
    "I want you to hire a SUV without insurance for 9 days in Dublin.",
]
ANSWER = re.compile(
    r"<think> \S.*\S </think>\n"
    r"(?:<tool_call>\n(?:\{.*\}\n)+</tool_call>|<response> \S.*\S </response>)"
)


@pytest.fixture(scope="module")
def train_examples() -> list[ToolCallExample]:
    return list(islice(toolcall_examples("train", seed=0), SAMPLE_SIZE))


@pytest.fixture(scope="module")
def test_examples() -> list[ToolCallExample]:
    return list(islice(toolcall_examples("test", seed=0), SAMPLE_SIZE))


def called(example: ToolCallExample) -> list[dict]:
    """The calls of an answer, read back from its text alone."""
    return [json.loads(line) for line in example.answer.split("\n") if line.startswith("{")]


def prompt_key(messages: list[dict[str, str]]) -> tuple[str, frozenset[str]]:
    """Request and set of tool lines, read back from the messages alone."""
    system, user = messages
    return user["content"], frozenset(system["content"].split("\n")[1:])


def test_the_same_seed_gives_the_same_examples() -> None:
    first, second = (list(islice(toolcall_examples("train", seed=7), 300)) for _ in range(2))
    assert first == second


def test_another_seed_gives_other_examples() -> None:
    first, second = ([next(toolcall_examples("train", seed=seed)).request] for seed in (0, 1))
    assert first != second


def test_the_examples_do_not_change_between_releases() -> None:
    requests = [example.request for example in islice(toolcall_examples("test", seed=0), 3)]
    assert requests == FIRST_TEST_REQUESTS


def test_a_smaller_size_gives_the_first_rows() -> None:
    assert load_toolcalls("test", 5, seed=3).to_list() == load_toolcalls("test", 9, seed=3).to_list()[:5]


@pytest.mark.parametrize("seeds", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_no_prompt_is_in_both_splits_whatever_the_seeds(
    train_examples: list[ToolCallExample], test_examples: list[ToolCallExample], seeds: int
) -> None:
    keys = {}
    for split, first in (("train", train_examples), ("test", test_examples)):
        others = (islice(toolcall_examples(split, seed=seed), SAMPLE_SIZE) for seed in range(1, seeds))
        keys[split] = {prompt_key(example.prompt) for example in chain(first, *others)}
    assert all(len(found) > 0.75 * seeds * SAMPLE_SIZE for found in keys.values())
    assert not keys["train"] & keys["test"]


def test_the_split_does_not_depend_on_the_order_of_the_tools(test_examples: list[ToolCallExample]) -> None:
    for example in test_examples[:200]:
        turned = ToolCallExample(example.kind, example.request, example.tools[::-1], example.calls)
        assert turned.split == "test"


def test_no_prompt_comes_twice_in_one_stream(train_examples: list[ToolCallExample]) -> None:
    assert len({prompt_key(example.prompt) for example in train_examples}) == SAMPLE_SIZE


def test_the_catalogue_has_enough_tools_of_enough_domains() -> None:
    assert len(TOOLS) >= 24
    assert len({tool.domain for tool in TOOLS.values()}) >= 8
    assert all(len(tool.phrasings) >= 3 for tool in TOOLS.values())


def test_every_parameter_type_is_used_by_several_tools() -> None:
    users = Counter(kind for tool in TOOLS.values() for kind in {parameter.type for parameter in tool.parameters})
    assert set(users) == {"string", "integer", "number", "boolean", "enum", "date"}
    assert min(users.values()) >= 4


def test_phrasings_hold_every_parameter_and_incomplete_ones_lack_the_one_they_name() -> None:
    for tool in TOOLS.values():
        slots = {f"{{{parameter.name}}}" for parameter in tool.parameters}
        for phrasing in tool.phrasings:
            assert set(re.findall(r"\{\w+\}", phrasing)) == slots, phrasing
        for phrasing, missing in tool.incomplete:
            assert f"{{{missing}}}" not in phrasing
            assert set(re.findall(r"\{\w+\}", phrasing)) < slots
            assert tool.parameter(missing).required


def test_every_lookalike_is_another_tool_of_the_catalogue() -> None:
    assert all(tool.lookalike in TOOLS and tool.lookalike != tool.name for tool in TOOLS.values())


def test_requests_need_one_call_two_or_none_in_the_announced_shares(train_examples: list[ToolCallExample]) -> None:
    shares = {count: n / SAMPLE_SIZE for count, n in Counter(len(called(e)) for e in train_examples).items()}
    assert shares == pytest.approx({0: 0.22, 1: 0.68, 2: 0.10}, abs=0.03)
    kinds = Counter(example.kind for example in train_examples)
    assert {kind: n / SAMPLE_SIZE for kind, n in kinds.items()} == pytest.approx(dict(KIND_SHARES), abs=0.02)


def test_every_answer_is_in_the_rlla_format(test_examples: list[ToolCallExample]) -> None:
    for example in test_examples:
        assert ANSWER.fullmatch(example.answer), example.answer


def test_every_call_is_to_a_listed_tool_with_its_declared_parameters(test_examples: list[ToolCallExample]) -> None:
    for example in test_examples:
        listed = {tool.name: tool for tool in example.tools}
        for call in called(example):
            assert list(call) == ["name", "parameters"]
            tool = listed[call["name"]]
            assert call["parameters"].keys() <= {parameter.name for parameter in tool.parameters}
            assert {p.name for p in tool.parameters if p.required} <= call["parameters"].keys()


def test_every_value_has_the_json_type_that_its_parameter_declares(test_examples: list[ToolCallExample]) -> None:
    seen = Counter()
    for example in test_examples:
        for call in called(example):
            for name, value in call["parameters"].items():
                parameter = TOOLS[call["name"]].parameter(name)
                seen[parameter.type] += 1
                if parameter.type == "date":
                    assert date.fromisoformat(value).isoformat() == value
                elif parameter.type == "number":
                    assert type(value) in (int, float)
                    assert value in parameter.values
                else:
                    python_type = {"string": str, "enum": str, "integer": int, "boolean": bool}[parameter.type]
                    assert type(value) is python_type
                    assert value in parameter.values
    assert min(seen[kind] for kind in ("string", "integer", "number", "boolean", "enum", "date")) > 100


def test_requests_say_dates_as_people_do(test_examples: list[ToolCallExample]) -> None:
    dates = [
        (argument.said, argument.value)
        for example in test_examples
        for call in example.calls
        for argument in call.arguments
        if argument.parameter.type == "date"
    ]
    assert len({re.sub(r"[a-z]+", "x", re.sub(r"\d+", "9", said.lower())) for said, _ in dates}) >= 5
    for said, iso in dates:
        assert said != iso
        assert str(date.fromisoformat(iso).day) in re.findall(r"\d+", said)
        assert iso[:4] in said or iso.startswith("2026")


def test_the_request_says_every_value_of_its_calls(test_examples: list[ToolCallExample]) -> None:
    for example in test_examples:
        for call in example.calls:
            for argument in call.arguments:
                words = argument.parameter.wording.get(argument.value, argument.said).strip(" ,")
                assert words.lower() in example.request.lower()


def test_the_prompt_lists_its_tools_one_a_line_under_the_system_prompt(test_examples: list[ToolCallExample]) -> None:
    for example in test_examples[:200]:
        system, user = example.prompt
        assert (system["role"], user["role"]) == ("system", "user")
        assert system["content"].split("\n") == [SYSTEM_PROMPT, *(tool.signature for tool in example.tools)]
        assert user["content"] == example.request


def test_every_prompt_lists_tools_that_are_not_needed(train_examples: list[ToolCallExample]) -> None:
    for example in train_examples:
        names = [tool.name for tool in example.tools]
        assert len(set(names)) == len(names)
        assert len(set(names) - {call.tool.name for call in example.calls}) >= 2


def test_most_prompts_list_a_lookalike_of_the_right_tool(train_examples: list[ToolCallExample]) -> None:
    single = [example for example in train_examples if example.kind == "one_call"]
    tempted = [e for e in single if e.calls[0].tool.lookalike in {tool.name for tool in e.tools}]
    assert 0.6 < len(tempted) / len(single) < 0.8


def test_the_right_tool_stands_at_any_place_of_the_list(train_examples: list[ToolCallExample]) -> None:
    single = [example for example in train_examples if example.kind == "one_call"]
    places = Counter(example.tools.index(example.calls[0].tool) for example in single)
    assert sorted(places) == [0, 1, 2]
    assert min(places.values()) > 0.3 * len(single)


def test_a_request_without_a_fitting_tool_lists_neither_the_tool_nor_its_lookalikes(
    train_examples: list[ToolCallExample],
) -> None:
    unfit = [example for example in train_examples if example.kind == "no_tool"]
    errands = [example for example in unfit if example.intended is None]
    assert all(any(errand in example.request.lower() for errand in ERRANDS) for example in errands)
    assert 0.6 < len(errands) / len(unfit) < 0.8
    for example in unfit:
        if example.intended is None:
            continue
        intended = example.intended.tool
        near = {intended.name, intended.lookalike}
        assert not any(tool.name in near or tool.lookalike == intended.name for tool in example.tools)


def test_a_request_that_leaves_a_parameter_out_is_asked_for_it(train_examples: list[ToolCallExample]) -> None:
    incomplete = [example for example in train_examples if example.kind == "missing"]
    assert incomplete
    for example in incomplete:
        assert example.intended is not None
        assert example.intended.tool in example.tools
        assert example.missing is not None
        assert example.response == f"Please tell me the {example.missing.replace('_', ' ')}."


def test_the_data_set_has_the_columns_prompt_and_answer() -> None:
    dataset = load_toolcalls("train", 12, seed=1)
    assert dataset.column_names == ["prompt", "answer"]
    examples = list(islice(toolcall_examples("train", seed=1), 12))
    assert dataset["prompt"][:] == [example.prompt for example in examples]
    assert dataset["answer"][:] == [example.answer for example in examples]


def test_the_default_size_depends_on_the_split() -> None:
    assert len(load_toolcalls("test")) == DEFAULT_SIZES["test"] == 512
    assert DEFAULT_SIZES["train"] == 4096


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match=r'`split` needs "train" or "test", got \'dev\''):
        load_toolcalls("dev", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_an_error(size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"`size` needs at least one row, got {size}"):
        load_toolcalls("train", size)


def test_easy_requests_need_one_call_at_most_without_dates_and_decimal_numbers() -> None:
    easy = toolcall_prompts("test", 200, level="easy")
    assert len(easy) == 200
    assert {example.kind for example in easy} == {"one_call", "small_talk", "no_tool", "missing"}
    for example in easy:
        calls = called(example)
        assert len(calls) <= 1
        values = [value for call in calls for value in call["parameters"].values()]
        assert not any(isinstance(value, float) or re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)) for value in values)
    some = load_toolcalls("test", 200, level="easy")
    assert some["answer"] == [example.answer for example in easy]


def test_the_easy_requests_are_those_of_the_whole_task_in_its_order() -> None:
    everything, easy = toolcall_prompts("train", 300), toolcall_prompts("train", 60, level="easy")
    assert easy == [example for example in everything if example.is_easy][:60]
