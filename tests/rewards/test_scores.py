import math
import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from gd2po.errors import RewardFunctionError
from gd2po.rewards import validate_scores


@pytest.mark.parametrize(
    "scores",
    [
        [1, 0.5, None],
        (1.0, 0.5, float("nan")),
        [True, Fraction(1, 2), None],
        [Decimal(1), Decimal("0.5"), Decimal("sNaN")],
        [np.float32(1), np.float64(0.5), np.float64("nan")],
        [np.bool_(True), np.array(0.5), np.array([None], dtype=object)],
        np.array([1.0, 0.5, np.nan]),
        torch.tensor([1.0, 0.5, math.nan]),
        torch.tensor([[1.0], [0.5], [math.nan]], requires_grad=True),
        [torch.tensor(1), torch.tensor([0.5]), torch.tensor(math.nan)],
        iter([1.0, 0.5, None]),
    ],
)
def test_numbers_of_any_library_become_floats_and_nan_becomes_none(scores):
    checked = validate_scores("length", scores, expected=3)
    assert checked == [1.0, 0.5, None]
    assert [type(score) for score in checked] == [float, float, type(None)]


@pytest.mark.parametrize("scores", [[], [1.0], [1.0] * 3, torch.zeros(3), torch.zeros(1, 2)])
def test_a_wrong_number_of_scores_is_an_error_with_both_numbers(scores):
    with pytest.raises(
        RewardFunctionError, match=rf"`length` must return one score .* expected 2, got {len(scores)}\."
    ):
        validate_scores("length", scores, expected=2)


@pytest.mark.parametrize(
    ("scores", "kind"),
    [(None, r"nothing \(None\)"), (1.0, "float"), ("10", "str"), (b"10", "bytes"), ({0: 1.0, 1: 0.0}, "dict"),
     ({1.0, 0.0}, "set"), (torch.tensor(1.0), "Tensor"), (np.array(1.0), "ndarray")],
)  # fmt: skip
def test_what_is_no_list_of_scores_is_an_error(scores, kind):
    with pytest.raises(RewardFunctionError, match=f"`length` must return a list with one score .* got {kind}"):
        validate_scores("length", scores, expected=2)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("0.5", "str '0.5'"), (1j, "complex"), ([1.0], "list"), ({}, "dict"),
     (np.array([1.0, 2.0]), r"ndarray of shape \(2,\)"), (torch.zeros(2, 2), r"Tensor of shape \(2, 2\)"),
     (np.array("a"), "ndarray"), (object(), "object")],
)  # fmt: skip
def test_a_score_that_is_no_number_is_an_error_that_names_the_completion(value, kind):
    with pytest.raises(RewardFunctionError, match=f"`length` must return numbers or None, got {kind} for completion 1"):
        validate_scores("length", [1.0, value, value], expected=3)


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, 1e39, -1e39, 10**400, Decimal("1e400"), torch.tensor(-math.inf),
     pytest.param(10**5000, id="5001 digits")],
)  # fmt: skip
def test_a_score_that_is_infinite_in_float32_is_an_error_that_names_the_first(value):
    with pytest.raises(RewardFunctionError, match=r"`length` returned -?\S+ for completion 1\. .* finite in float32"):
        validate_scores("length", [1.0, value, value], expected=3)


def test_the_largest_float32_is_still_a_score():
    largest = torch.finfo(torch.float32).max
    assert validate_scores("length", [largest, -largest], expected=2) == [largest, -largest]


def test_nan_is_an_error_where_it_is_not_allowed():
    assert validate_scores("length", [math.nan], expected=1) == [None]
    with pytest.raises(RewardFunctionError, match=r"returned NaN for completion 1\. Return None where"):
        validate_scores("length", [None, math.nan], expected=2, allow_nan=False)


def test_checking_a_batch_costs_next_to_nothing():
    scores = [0.5] * 10_000
    start = time.process_time()
    validate_scores("length", scores, expected=10_000)
    assert time.process_time() - start < 0.5
