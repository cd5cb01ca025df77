"""Graders whose errors are independent, normal, and a function of the text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gd2po.errors import InvalidInputError
from gd2po.rewards import noisy_grader_a, noisy_grader_b, tool_call_correctness

CALL = '<think> x </think>\n<tool_call>\n{"name": "add", "parameters": {"a": 1, "b": 2}}\n</tool_call>'
TALK = "<think> x </think>\n<response> Hello. </response>"
GRADERS = [noisy_grader_a, noisy_grader_b]


@pytest.mark.parametrize("grader", GRADERS)
def test_without_noise_the_grade_is_the_quality(grader: object) -> None:
    half = CALL.replace("2", "3")
    grades = grader([CALL, half, "?", TALK, "?", "?"], [CALL, CALL, CALL, TALK, TALK, None], noise=0.0)  # type: ignore[operator]
    correctness = tool_call_correctness([half], [CALL], low=0.0, high=1.0)
    assert grades == [1.0, *correctness, 0.0, 1.0, 0.0, None]


@given(st.lists(st.text(), max_size=5), st.integers(0, 3))
def test_a_grade_depends_on_the_text_alone(texts: list[str], seed: int) -> None:
    for grader in GRADERS:
        together = grader(texts, [CALL] * len(texts), seed=seed)
        alone = [grader([text], [CALL], seed=seed)[0] for text in texts]
        assert together == alone


def test_a_grade_is_the_same_in_another_process() -> None:
    code = "from gd2po.rewards import noisy_grader_a as grade; print(repr(grade(['a'], ['b'], noise=1.0)[0]))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(there) == noisy_grader_a(["a"], ["b"], noise=1.0)[0]


def test_errors_are_standard_normal_and_independent() -> None:
    texts = [f"text {number}" for number in range(4000)]
    errors = np.array([grader(texts, [CALL] * 4000, noise=1.0) for grader in GRADERS])
    other_seed = np.array(noisy_grader_a(texts, [CALL] * 4000, noise=1.0, seed=1))
    assert np.abs(errors.mean(1)).max() < 0.06
    assert np.abs(errors.std(1) - 1).max() < 0.05
    assert abs((np.abs(errors) < 1.96).mean() - 0.95) < 0.01
    assert abs(np.corrcoef(errors)[0, 1]) < 0.06
    assert abs(np.corrcoef(errors[0], other_seed)[0, 1]) < 0.06


def test_a_lone_surrogate_is_graded_too() -> None:
    assert noisy_grader_a(["\ud800"], [CALL])[0] is not None


def test_a_negative_noise_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="`noise` must be 0 or greater, got -1"):
        noisy_grader_b(["a"], [CALL], noise=-1)
