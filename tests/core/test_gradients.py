"""Coefficients of combined gradients, against autograd, brute force and the published procedure on vectors."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gd2po.core.gradients import gradient_coefficients
from gd2po.errors import InvalidInputError, InvalidTypeError


def gradient_matrices() -> st.SearchStrategy[Tensor]:
    """(K, D) gradients, some of them equal, parallel or 0."""
    number = st.integers(-3, 3).map(float)
    return st.integers(1, 5).flatmap(
        lambda size: st.lists(st.lists(number, min_size=size, max_size=size), min_size=1, max_size=8).map(
            lambda rows: torch.tensor(rows, dtype=torch.float64)
        )
    )


def coefficients(gradients: Tensor, method: Any) -> Tensor:
    return gradient_coefficients(gradients @ gradients.T, method=method)


def least_norm_by_brute_force(gradients: Tensor) -> float:
    """Least norm over the simplex: the least over all faces of the norm in the face's plane where it lies inside."""
    best = math.inf
    for size in range(1, len(gradients) + 1):
        for face in itertools.combinations(range(len(gradients)), size):
            corners = gradients[list(face)]
            edges = (corners[1:] - corners[0]).T
            inner = torch.linalg.lstsq(edges, -corners[0][:, None], driver="gelsd").solution[:, 0]
            weights = torch.cat([1 - inner.sum()[None], inner])
            if weights.min() >= -1e-12:
                best = min(best, float((weights @ corners).norm()))
    return best


def pcgrad_on_vectors(gradients: Tensor) -> Tensor:
    """Algorithm 1 on the vectors themselves, the others in their order; the mean."""
    projected = []
    for row, gradient in enumerate(gradients):
        changed = gradient.clone()
        for other, direction in enumerate(gradients):
            if other != row and changed @ direction < 0:
                changed = changed - (changed @ direction) / (direction @ direction) * direction
        projected.append(changed)
    return torch.stack(projected).mean(0)


def toy_losses(point: Tensor) -> list[Tensor]:
    return [(point[0] - 1) ** 2 + point[1] ** 2, (point[0] + 1) ** 2 + 2 * (point[1] - 1) ** 2, point.sum().exp()]


@pytest.mark.parametrize("method", ["equal", "mgda", "pcgrad"])
def test_on_a_toy_problem_autograd_has_the_gradient_of_the_weighted_losses(method: Any) -> None:
    point = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    losses = toy_losses(point)
    gradients = torch.stack([torch.autograd.grad(loss, point, retain_graph=True)[0] for loss in losses])
    found = coefficients(gradients, method)
    (combined,) = torch.autograd.grad(sum(c * loss for c, loss in zip(found, losses, strict=True)), point)
    torch.testing.assert_close(combined, found @ gradients)
    if method == "pcgrad":
        torch.testing.assert_close(combined, pcgrad_on_vectors(gradients))
    if method == "mgda":
        step = (point - 1e-4 * combined).detach()
        assert all(after < before for after, before in zip(toy_losses(step), losses, strict=True))


def test_equal_coefficients_are_those_of_a_mean() -> None:
    assert coefficients(torch.randn(4, 6), "equal").tolist() == [0.25] * 4


def test_two_opposite_gradients_leave_nothing() -> None:
    gradients = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    for method in ("mgda", "pcgrad"):
        assert (coefficients(gradients, method) @ gradients).tolist() == [0.0, 0.0]
    torch.testing.assert_close(coefficients(gradients, "mgda"), torch.tensor([2 / 3, 1 / 3]))


def test_mgda_stops_at_the_shortest_gradient_where_the_others_go_its_way() -> None:
    gradients = torch.tensor([[1.0, 0.0], [3.0, 1.0], [2.0, -1.0]])
    assert coefficients(gradients, "mgda").tolist() == [1.0, 0.0, 0.0]


@given(gradients=gradient_matrices())
def test_mgda_finds_the_least_norm_of_the_simplex(gradients: Tensor) -> None:
    found = coefficients(gradients, "mgda")
    assert found.min() >= 0
    assert float(found.sum()) == pytest.approx(1, abs=1e-9)
    combined = found @ gradients
    assert float(combined.norm()) == pytest.approx(least_norm_by_brute_force(gradients), abs=1e-5)
    # No gradient works against it, which is what makes every loss fall.
    assert (gradients @ combined >= combined @ combined - 1e-6).all()


@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
def test_mgda_is_exact_on_gradients_in_general_position(seed: int, size: int) -> None:
    gradients = torch.randn(size, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    combined = coefficients(gradients, "mgda") @ gradients
    assert float(combined.norm()) == pytest.approx(least_norm_by_brute_force(gradients), abs=1e-6)


@given(gradients=gradient_matrices())
def test_pcgrad_is_the_published_procedure(gradients: Tensor) -> None:
    # Sums of small integers over them: signs of products are exact enough in both.
    found = coefficients(gradients, "pcgrad") @ gradients
    torch.testing.assert_close(found, pcgrad_on_vectors(gradients), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_without_conflicts_pcgrad_is_the_mean(seed: int) -> None:
    gradients = torch.rand(4, 6, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(coefficients(gradients, "pcgrad"), coefficients(gradients, "equal"))


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-12, 1e-3, 1e6]))
def test_a_common_scale_of_the_gradients_changes_no_coefficient(seed: int, scale: float) -> None:
    gradients = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for method in ("mgda", "pcgrad"):
        torch.testing.assert_close(coefficients(scale * gradients, method), coefficients(gradients, method))


def test_gradients_of_0_have_coefficients_too() -> None:
    for method in ("equal", "mgda", "pcgrad"):
        found = gradient_coefficients(torch.zeros(3, 3), method=method)
        assert float(found.sum()) == pytest.approx(1)
        assert found.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_is_kept_and_the_matrix_is_not_changed(dtype: torch.dtype) -> None:
    gradients = torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    gram = (gradients @ gradients.T).to(dtype)
    before = gram.clone()
    for method in ("equal", "mgda", "pcgrad"):
        assert gradient_coefficients(gram, method=method).dtype == dtype
    assert torch.equal(gram, before)


@pytest.mark.parametrize(
    ("gram", "error", "message"),
    [
        ([[1.0]], InvalidTypeError, "`gram` must be a tensor of real floats"),
        (torch.ones(2, 2, dtype=torch.int64), InvalidTypeError, "got torch.int64"),
        (torch.ones(2, 3), InvalidInputError, "`gram` needs shape (K, K)"),
        (torch.ones(0, 0), InvalidInputError, "`gram` needs shape (K, K)"),
        (torch.ones(2), InvalidInputError, "`gram` needs shape (K, K)"),
        (torch.tensor([[1.0, math.nan], [0.0, 1.0]]), InvalidInputError, "`gram` needs finite numbers"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), InvalidInputError, "`gram` must hold the scalar products"),
        (torch.tensor([[-1.0]]), InvalidInputError, "`gram` must hold the scalar products"),
        (torch.tensor([[1.0, -5.0], [-5.0, 1.0]]), InvalidInputError, "`gram` must hold the scalar products"),
    ],
)
def test_what_is_no_matrix_of_scalar_products_is_refused(gram: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gradient_coefficients(gram, method="mgda")


@given(seed=st.integers(0, 10_000))
def test_products_rounded_to_few_bits_still_have_coefficients(seed: int) -> None:
    gradients = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    for method in ("mgda", "pcgrad"):
        found = gradient_coefficients((gradients @ gradients.T).bfloat16(), method=method).float()
        assert found.isfinite().all()
        if method == "mgda":
            assert found.min() >= 0
            assert float(found.sum()) == pytest.approx(1, abs=0.02)


def test_an_unknown_combination_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="`method` must be one of 'equal', 'mgda', 'pcgrad': got 'cagrad'"):
        gradient_coefficients(torch.eye(2), method="cagrad")  # type: ignore[arg-type]
