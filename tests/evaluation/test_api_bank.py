"""Scores of API-Bank against the published ones, and on whatever a model may write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gd2po.errors import DataFormatError, InvalidInputError, InvalidTypeError
from gd2po.evaluation.api_bank import (
    LEVELS,
    LevelScores,
    OutputScore,
    load_api_bank,
    reference_call,
    score_output,
    summarise,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "api_bank_scores.json").read_text(encoding="utf-8"))
ANSWER = {"name": "Search", "parameters": {"query": "rain", "days": 2}}
CALL = json.dumps(ANSWER)
RIGHT = f"<think> Look it up. </think>\n<tool_call>\n{CALL}\n</tool_call>"

tags = st.sampled_from([f"<{slash}{tag}>" for tag in ("think", "tool_call", "response") for slash in ("", "/")])
lines = st.sampled_from([CALL, "{", "[1,2]", "null", "1e999", '"x"', '{"name": 1, "parameters": []}', "{}", "\n"])
hostile = st.lists(st.one_of(tags, lines, st.text(max_size=20)), max_size=12).map("\n".join)


def with_calls(*block: str) -> str:
    return "<think> Look it up. </think>\n<tool_call>\n" + "\n".join(block) + "\n</tool_call>"


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['level']}/{case['index']}")
def test_scores_are_the_published_ones(case: dict[str, Any]) -> None:
    score = score_output(case["raw_output"], case["answer"])
    assert score.correct == bool(case["correct"])
    assert score.format_ok == bool(case["format"])
    assert list(score.format_errors) == case["format_errors"]
    assert score.length == case["length"]
    assert score.think_words == case["think_words"]


def test_the_golden_cases_hold_right_and_wrong_of_everything() -> None:
    assert {(case["correct"], case["format"]) for case in GOLDEN} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(GOLDEN) == 200


def test_a_right_call_counts_wherever_it_stands_among_others() -> None:
    other = json.dumps({"name": "Other", "parameters": {}})
    assert score_output(with_calls(other, CALL), ANSWER).correct
    assert score_output(with_calls("not json", "3", "null", CALL), ANSWER).correct
    assert not score_output(with_calls(other), ANSWER).correct


@pytest.mark.parametrize(
    "call",
    [
        {"name": "search", "parameters": ANSWER["parameters"]},
        {"name": "Search", "parameters": {"query": "rain"}},
        {"name": "Search", "parameters": {**ANSWER["parameters"], "unit": "c"}},
        {"name": "Search", "parameters": {"query": "rain", "days": "2"}},
        {"name": "Search", "arguments": ANSWER["parameters"]},
        {"query": "rain"},
    ],
)
def test_a_call_that_differs_in_anything_is_wrong(call: dict[str, Any]) -> None:
    assert not score_output(with_calls(json.dumps(call)), ANSWER).correct


def test_parameters_alone_count_as_the_call() -> None:
    assert score_output(with_calls(json.dumps(ANSWER["parameters"])), ANSWER).correct


def test_only_the_first_block_is_read() -> None:
    first = f"<think> t </think><tool_call>\n{{}}\n</tool_call><tool_call>\n{CALL}\n</tool_call>"
    assert not score_output(first, ANSWER).correct
    assert not score_output(RIGHT.replace("</tool_call>", ""), ANSWER).correct


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (RIGHT, ()),
        (f"  {RIGHT}\n\n", ()),
        ("<think> t </think> <response> r </response>", ()),
        (RIGHT + "\n<response> r </response>", ()),
        (f"Sure! {RIGHT} Done.", ()),
        (" \n ", ("empty_output",)),
        ("<think> t </think> no part", ("missing_tool_call_and_response",)),
        (f"<tool_call>{CALL}</tool_call>", ("missing_think",)),
        ("</think> t <think><response> r </response>", ("wrong_order",)),
        ("<response> r </response><think> t </think>", ("wrong_order",)),
        ("<think> t </think><response> r </response>" + RIGHT.partition("</think>")[2], ("wrong_order",)),
        ("<think> t <response> r </think> s </response>", ("wrong_order",)),
        (RIGHT + "<response>", ("unbalanced_response_tags",)),
        (RIGHT + RIGHT, ("multiple_think_blocks", "multiple_tool_call_blocks")),
    ],
)
def test_the_layout_is_judged_by_its_tags(text: str, errors: tuple[str, ...]) -> None:
    assert score_output(text, ANSWER).format_errors == errors


def test_length_counts_the_words_of_the_first_thought_up_to_the_target() -> None:
    assert score_output("<think>" + "w " * 256 + "</think>", ANSWER).length == 0.5
    assert score_output("<think>" + "w " * 9999 + "</think>", ANSWER).length == 1.0
    assert score_output("<think> one two", ANSWER).length == 0.0
    assert score_output("</think> one two <think> three </think>", ANSWER).think_words == 0


@given(hostile | st.text())
def test_any_text_gets_its_scores(text: str) -> None:
    score = score_output(text, ANSWER)
    assert 0 <= score.length <= 1
    if score.correct:
        assert "<tool_call>" in text
    if score.format_ok:
        assert text.count("<think>") == text.count("</think>") == 1


@pytest.mark.parametrize("line", ['{"a":' * 50_000 + "1" + "}" * 50_000, "[" * 99_000, "9" * 9_000])
def test_text_that_breaks_parsers_gets_its_scores(line: str) -> None:
    assert not score_output(with_calls(line), ANSWER).correct
    assert score_output(with_calls(line, CALL), ANSWER).correct


def test_what_is_no_text_or_no_reference_is_refused() -> None:
    with pytest.raises(InvalidTypeError, match="`raw_output` must be a string, got NoneType"):
        score_output(None, ANSWER)  # type: ignore[arg-type]
    for answer in ([], "Search", {"name": "Search"}, [{"name": 1, "parameters": {}}], [None]):
        with pytest.raises(InvalidInputError, match="`answer` must be a call"):
            reference_call(answer)


def test_a_summary_has_every_level_and_counts_each_output_once_overall() -> None:
    right, wrong = OutputScore(True, (), 0.5, 256), OutputScore(False, ("missing_think",), 0.0, 0)
    summary = summarise([(2, right), (1, right), (1, right), (1, wrong)])
    assert list(summary) == ["level 1", "level 2", "overall"]
    assert summary["level 1"] == LevelScores(3, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert summary["overall"] == LevelScores(4, 0.75, 0.75, 0.375)
    with pytest.raises(InvalidInputError, match="`scores` is empty"):
        summarise([])


def write_level(folder: Path, level: int, rows: Any) -> None:
    (folder / f"level-{level}-api_processed.json").write_text(json.dumps(rows))


def test_levels_are_read_in_order_and_up_to_the_limit(tmp_path: Path) -> None:
    row = {"system": "s", "user": "u", "answer": [ANSWER], "other": {}}
    write_level(tmp_path, 1, [row, row])
    write_level(tmp_path, 2, [{**row, "answer": ANSWER}])
    samples = load_api_bank(tmp_path, [2, 1])
    assert [sample.key for sample in samples] == ["2/0", "1/0", "1/1"]
    assert samples[0].prompt == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert reference_call(samples[0].answer) == ANSWER
    assert len(load_api_bank(tmp_path, [1], eval_prompts=1)) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "must hold a list of samples, got an object with nothing in it"),
        ([], "must hold a list of samples, got an empty list"),
        ([{"system": "s", "user": "u", "answer": ANSWER}, {"system": "s"}], "sample 1: must be an object with the"),
        ([{"system": "s", "user": "u", "answer": [{}]}], "sample 0: `answer` must be a call"),
    ],
)
def test_a_file_of_another_shape_is_named_with_the_sample(tmp_path: Path, rows: Any, message: str) -> None:
    write_level(tmp_path, 1, rows)
    with pytest.raises(DataFormatError, match=message):
        load_api_bank(tmp_path, [1])


def test_missing_files_and_wrong_levels_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"there is no file .*level-3-api_processed.json"):
        load_api_bank(tmp_path, [3])
    (tmp_path / "level-1-api_processed.json").write_text("[1")
    with pytest.raises(DataFormatError, match="is not readable JSON"):
        load_api_bank(tmp_path, [1])
    for levels in ([4], [], [1, 1]):
        with pytest.raises(InvalidInputError, match="`levels` must be some of 1, 2 and 3"):
            load_api_bank(tmp_path, levels)
    with pytest.raises(InvalidInputError, match="`eval_prompts` must be at least 1"):
        load_api_bank(tmp_path, [1], eval_prompts=0)


def test_the_real_files_load_and_hold_the_golden_references(real_data: Path) -> None:
    samples = load_api_bank(real_data / "api_bank")
    counts = [sum(sample.level == level for sample in samples) for level in LEVELS]
    assert counts == [399, 67, 131]
    by_key = {sample.key: sample for sample in samples}
    for case in GOLDEN:
        assert by_key[f"{case['level']}/{case['index']}"].answer == case["answer"]
