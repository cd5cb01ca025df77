"""Exactness of an answer: the same equality that the correctness reward pays its highest score for."""

import json
from itertools import islice, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gd2po.data.toolcalls.task import rlla_answer, toolcall_examples
from gd2po.rewards import exact_calls, tool_call_correctness

WEATHER = {"name": "get_weather", "parameters": {"city": "Rome", "day": "2026-05-03"}}
TABLE = {"name": "book_table", "parameters": {"people": 7, "outdoor": True}}
TWO_CALLS = rlla_answer("Two things.", [WEATHER, TABLE])
NO_CALL = rlla_answer("Small talk.", [], "Hello!")


def exact_call(completion: str, answer: str) -> bool:
    (score,) = exact_calls([completion], [answer])
    assert score in (0.0, 1.0)
    return score == 1.0


def test_a_batch_gets_a_score_each_and_none_without_a_reference() -> None:
    messages = [{"role": "assistant", "content": TWO_CALLS}]
    assert exact_calls([messages, NO_CALL, "x"], [TWO_CALLS, TWO_CALLS, None], prompts=["?"] * 3) == [1.0, 0.0, None]


def test_every_reference_answer_is_exact_for_itself() -> None:
    for example in islice(toolcall_examples("test", seed=0), 500):
        assert exact_call(example.answer, example.answer)


def test_no_reference_answer_is_exact_for_a_request_that_needs_other_calls() -> None:
    examples = [example for example in islice(toolcall_examples("test", seed=0), 60) if example.calls]
    for first, second in permutations(examples, 2):
        if [call.as_json() for call in first.calls] != [call.as_json() for call in second.calls]:
            assert not exact_call(first.answer, second.answer)


def test_the_order_of_calls_and_of_parameters_does_not_matter() -> None:
    turned = {"parameters": {"outdoor": True, "people": 7}, "name": "book_table"}
    assert exact_call(rlla_answer("Other words.", [turned, WEATHER]), TWO_CALLS)


@pytest.mark.parametrize(
    "call",
    [
        {"name": "get_forecast", "parameters": WEATHER["parameters"]},
        {"name": "get_weather", "parameters": {"city": "Rome"}},
        {"name": "get_weather", "parameters": {**WEATHER["parameters"], "detailed": True}},
        {"name": "get_weather", "parameters": {"city": "Rome", "day": "3 May"}},
        {"name": "get_weather", "parameters": {"place": "Rome", "day": "2026-05-03"}},
    ],
)
def test_a_call_that_differs_in_anything_is_not_exact(call: dict) -> None:
    assert not exact_call(rlla_answer("So.", [call, TABLE]), TWO_CALLS)
    assert not exact_call(rlla_answer("So.", [TABLE, call]), TWO_CALLS)


@pytest.mark.parametrize("value", ["7", 8, 7.5, None, [7]])
def test_a_number_as_a_string_is_not_exact(value: object) -> None:
    table = {"name": "book_table", "parameters": {"people": value, "outdoor": True}}
    assert not exact_call(rlla_answer("So.", [WEATHER, table]), TWO_CALLS)


@pytest.mark.parametrize("calls", [[WEATHER], [TABLE], [WEATHER, TABLE, TABLE], [WEATHER, WEATHER]])
def test_a_missing_an_extra_or_a_repeated_call_is_not_exact(calls: list[dict]) -> None:
    assert not exact_call(rlla_answer("So.", calls), TWO_CALLS)


def test_a_repeated_call_that_the_reference_repeats_is_exact() -> None:
    twice = rlla_answer("Twice.", [TABLE, TABLE])
    assert exact_call(twice, twice)
    assert not exact_call(rlla_answer("Once.", [TABLE]), twice)
    assert not exact_call(TWO_CALLS, twice)


def test_calls_count_without_the_rest_of_the_layout() -> None:
    block = TWO_CALLS[TWO_CALLS.index("<tool_call>") :]
    assert exact_call(block, TWO_CALLS)
    assert exact_call(TWO_CALLS + "\nDone!", TWO_CALLS)


@pytest.mark.parametrize("part", ["</tool_call>", "}", "{", '"parameters"'])
def test_calls_that_do_not_parse_are_not_exact(part: str) -> None:
    assert not exact_call(TWO_CALLS.replace(part, "", 1), TWO_CALLS)


def test_where_no_call_is_needed_any_response_is_exact() -> None:
    assert exact_call("<response> Good morning. </response>", NO_CALL)
    assert exact_call("<think> Hm. </think>\n<response> </response>", NO_CALL)


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "Hello!",
        "<response> Hello!",
        "Hello! </response>",
        "</response> Hello! <response>",
        "<tool_call>\n<response> Hello! </response>",
        rlla_answer("So.", [TABLE], "Hello!"),
    ],
)
def test_where_no_call_is_needed_a_call_or_no_response_is_not_exact(completion: str) -> None:
    assert not exact_call(completion, NO_CALL)


def test_exact_answers_are_those_that_get_the_highest_correctness() -> None:
    examples = [example for example in islice(toolcall_examples("test", seed=1), 60) if example.calls]
    answers = [example.answer for example in examples]
    spoiled = [answer.replace("2026", "2025").replace(": 7", ": 8").replace("true", "false") for answer in answers]
    for completions in (answers, spoiled, answers[::-1]):
        for completion, answer in zip(completions, answers, strict=True):
            score = tool_call_correctness([completion], [answer])[0]
            assert exact_call(completion, answer) == (score == 3.0)


@given(st.text() | st.text(alphabet='<>/{}":, \n').map(lambda text: f"<tool_call>\n{text}\n</tool_call>"))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert exact_call(text, TWO_CALLS) is False
    assert exact_call(text, NO_CALL) in (True, False)


def test_deep_nesting_gets_a_verdict() -> None:
    nested = '{"a": ' * 50_000 + "1" + "}" * 50_000
    text = f'<tool_call>\n{{"name": "book_table", "parameters": {nested}}}\n</tool_call>'
    assert not exact_call(text, TWO_CALLS)
    assert not exact_call(text, rlla_answer("So.", [json.loads('{"name": "book_table", "parameters": {"a": 1}}')]))
