"""Judges err as they are told to, by a hash of what an answer says, and can be fooled."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from gd2po.errors import InvalidInputError, InvalidTypeError
from gd2po.rewards import answer_quality, configure, judge_a, judge_b

JUDGES = [judge_a, judge_b]
CALL = '<think> x </think>\n<tool_call>\n{"name": "add", "parameters": {"a": 1, "b": 2}}\n</tool_call>'
HALF = CALL.replace("2", "3")
TALK = "<think> x </think>\n<response> Hello. </response>"


def many(count: int = 4000) -> tuple[list[str], list[str]]:
    return [CALL.replace("2", str(number)) for number in range(10, 10 + count)], [CALL] * count


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_without_errors_sees_the_quality(judge: Any) -> None:
    texts, answers = [CALL, HALF, "?", TALK, "?"], [CALL, CALL, CALL, TALK, None]
    assert judge(texts, answers) == answer_quality(texts, answers)


@pytest.mark.parametrize("judge", JUDGES)
def test_an_answer_is_misjudged_alike_whatever_was_thought(judge: Any) -> None:
    texts = [HALF, HALF.replace(" x ", " something else ")]
    same = judge(texts, [CALL] * 2, noise=1.0, gross=5.0, gross_share=0.5)
    assert same[0] == same[1]
    other_prompt = judge([HALF], [CALL.replace("1", "7")], noise=1.0)
    assert other_prompt != judge([HALF], [CALL], noise=1.0)


def test_errors_are_standard_normal_and_independent() -> None:
    texts, answers = many()
    quality = np.array(answer_quality(texts, answers))
    errors = np.array([judge(texts, answers, noise=2.0) for judge in JUDGES]) - quality
    assert np.abs(errors.mean(1)).max() < 0.12
    assert np.abs(errors.std(1) - 2).max() < 0.1
    assert np.abs(np.corrcoef(errors) - np.eye(2)).max() < 0.06
    other = np.array(judge_a(texts, answers, noise=2.0, seed=1)) - quality
    assert abs(np.corrcoef(errors[0], other)[0, 1]) < 0.06


def test_heavy_tails_are_those_of_student() -> None:
    texts, answers = many()
    errors = np.array(judge_a(texts, answers, noise=1.0, tail="t2")) - np.array(answer_quality(texts, answers))
    # Quantiles of t with 2 degrees of freedom: 1.886 at 0.9 and 6.965 at 0.99.
    assert np.quantile(errors, 0.9) == pytest.approx(1.886, rel=0.1)
    assert np.quantile(errors, 0.99) == pytest.approx(6.965, rel=0.3)


def test_gross_errors_hit_their_share_of_the_answers() -> None:
    texts, answers = many()
    errors = np.array(judge_b(texts, answers, gross=3.0, gross_share=0.1)) - np.array(answer_quality(texts, answers))
    assert set(errors.round(9)) == {0.0, 3.0}
    assert (errors > 1).mean() == pytest.approx(0.1, abs=0.015)


def test_a_phrase_and_a_long_thought_fool_a_judge() -> None:
    glad = HALF.replace(" x ", " I am glad ")
    plain, fooled = judge_a([HALF, glad], [CALL] * 2, phrase="glad", phrase_bonus=0.5)
    assert fooled == pytest.approx(plain + 0.5)
    short, long = judge_a([HALF, glad], [CALL] * 2, length_bonus=1.0, length_words=4)
    assert (short - plain, long - plain) == pytest.approx((0.25, 0.75))
    assert judge_a(["no thought"], [CALL], length_bonus=1.0) == [0.0]


def test_a_judge_is_found_by_name_and_travels_to_other_processes() -> None:
    bound = pickle.loads(pickle.dumps(configure(judge_a, noise=0.5)))
    assert bound([HALF], [CALL]) == judge_a([HALF], [CALL], noise=0.5)
    assert [judge.__name__ for judge in JUDGES] == ["judge_a", "judge_b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1}, "`noise` must be 0 or greater, got -1"),
        ({"tail": "t3"}, '`tail` must be "normal" or "t2", got \'t3\''),
        ({"gross_share": 1.5}, "`gross_share` must be from 0 to 1, got 1.5"),
        ({"length_words": 0}, "`length_words` must be greater than 0, got 0"),
        ({"gross": float("inf")}, "`gross` must be a finite number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        judge_a([HALF], [CALL], **options)


def test_a_phrase_must_be_text() -> None:
    with pytest.raises(InvalidTypeError, match="`phrase` must be text"):
        judge_a([HALF], [CALL], phrase=3, phrase_bonus=1.0)
