"""Whitening by rollouts and by tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gd2po.core.tolerances import TOKEN_TOTAL_EPS, VARIANCE_EPS
from gd2po.core.whitening import whiten


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_kept_values_get_mean_0_and_variance_1_and_the_others_0() -> None:
    values, keep = tensor([1.0, 5.0, 3.0, 100.0, -2.0]), torch.tensor([True, True, True, False, True])
    whitened = whiten(values, keep)
    assert whitened[3] == 0
    assert float(whitened[keep].mean()) == pytest.approx(0, abs=1e-15)
    assert float(whitened[keep].var()) == pytest.approx(1, rel=1e-8)


def test_the_epsilon_is_added_to_the_variance() -> None:
    spread = math.sqrt(VARIANCE_EPS)
    # These have a variance of VARIANCE_EPS: the epsilon doubles it.
    whitened = whiten(tensor([-spread / math.sqrt(2), spread / math.sqrt(2)]), torch.tensor([True, True]))
    assert whitened.tolist() == pytest.approx([-0.5, 0.5])


def test_by_tokens_a_rollout_counts_as_often_as_it_has_tokens() -> None:
    values, keep = tensor([1.0, 5.0, 3.0, 9.0]), torch.tensor([True, True, True, False])
    counts = torch.tensor([3, 1, 2, 7])
    repeated = whiten(values[keep].repeat_interleave(counts[keep]), torch.ones(6, dtype=torch.bool))
    whitened = whiten(values, keep, counts)
    assert whitened[[0, 1, 2]].tolist() == pytest.approx(repeated[[0, 3, 4]].tolist(), rel=1e-7)
    assert whitened[3] == 0


def test_the_total_of_the_tokens_gets_its_epsilon() -> None:
    # Equal values far from 0: all that is left of them is what the epsilon makes of their mean.
    whitened = whiten(tensor([1e6, 1e6]), torch.tensor([True, True]), torch.tensor([1, 1]))
    deviation = 1e6 - 2e6 / (2 + TOKEN_TOTAL_EPS)
    variance = 2 * deviation**2 / (2 + TOKEN_TOTAL_EPS) * 2
    assert whitened.tolist() == pytest.approx([deviation / math.sqrt(variance + VARIANCE_EPS)] * 2, rel=1e-6)


def test_a_kept_rollout_without_tokens_is_whitened_but_does_not_count() -> None:
    values, keep = tensor([0.0, 2.0, 5.0]), torch.tensor([True, True, True])
    whitened = whiten(values, keep, torch.tensor([1, 1, 0]))
    assert whitened.tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2), 4 / math.sqrt(2)], rel=1e-6)


@pytest.mark.parametrize(
    ("keep", "counts"),
    [
        ([False, False], None),
        ([True, False], None),
        ([True, False], [1, 5]),
        ([True, True], [0, 0]),
        ([True, True], [1, 0]),
        ([False, False], [3, 3]),
    ],
)
def test_a_total_weight_of_at_most_1_gives_0(keep: list[bool], counts: list[int] | None) -> None:
    token_counts = None if counts is None else torch.tensor(counts)
    assert whiten(tensor([3.0, -4.0]), torch.tensor(keep), token_counts).tolist() == [0.0, 0.0]


def test_two_tokens_of_one_rollout_are_enough() -> None:
    whitened = whiten(tensor([3.0, 4.0]), torch.tensor([True, True]), torch.tensor([2, 0]))
    assert whitened[0] == pytest.approx(0, abs=1e-3)
    assert whitened[1] == pytest.approx(1 / math.sqrt(VARIANCE_EPS), rel=1e-6)


@pytest.mark.parametrize("scale", [1e200, 1e300, 1e-200])
def test_huge_and_tiny_values_are_whitened_without_overflow(scale: float) -> None:
    whitened = whiten(tensor([scale, 2 * scale, 3 * scale]), torch.ones(3, dtype=torch.bool))
    expected = [-1, 0, 1] if scale > 1 else [0, 0, 0]
    assert whitened.tolist() == pytest.approx(expected, abs=1e-8)
