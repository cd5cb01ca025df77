"""How to combine the gradients of K rewards: coefficients from their scalar products alone."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.errors import InvalidInputError, InvalidTypeError

Combination = Literal["equal", "mgda", "pcgrad"]

_ROUNDING = 1e-12
"""Relative to the largest scalar product: products closer than this are equal."""


def gradient_coefficients(gram: Tensor, *, method: Combination) -> Tensor:
    """Coefficients c of a combined gradient `sum_k c_k g_k`, from the scalar products of the K gradients.

    * "equal": `c_k = 1/K`, the mean.
    * "mgda": the c with `c_k >= 0`, `sum_k c_k = 1` and the least `|sum_k c_k g_k|`. A step against that gradient
      lowers every loss to first order, or it is 0 and no direction does. Found exactly, by Wolfe's active-set
      algorithm. Where one gradient is 0 the combined gradient is: leave rewards without a signal out.
    * "pcgrad": from each gradient in turn, its component along every other one that it conflicts with
      (`<g_j, g_k> < 0`) is taken away, one after the other; then the mean over k. The paper draws the order of the
      others at random; here it is that of the rewards, so that a result can be repeated. The sum of c may exceed 1.

    All three are on the scale of a mean: without conflicts "pcgrad" is "equal".

    Args:
        gram: (K, K) scalar products `<g_j, g_k>`.
        method: "equal", "mgda" or "pcgrad".

    Returns:
        (K,) in the dtype and on the device of `gram`, computed in float64 on the host, which an accelerator waits for.

    Raises:
        InvalidInputError: not a square symmetric matrix of finite numbers with a diagonal of at least 0, or an unknown
            method (a ValueError).
        InvalidTypeError: not a tensor of real numbers (a TypeError).

    Example:
        >>> gradients = torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
        >>> gram = gradients @ gradients.T
        >>> gradient_coefficients(gram, method="mgda")
        tensor([0.7500, 0.2500])
        >>> gradient_coefficients(gram, method="pcgrad") @ gradients
        tensor([0.4000, 1.2000])

    Source:
        MGDA: Sener and Koltun (arXiv:1810.04650), after Désidéri (2012); the algorithm: Wolfe, Finding the Nearest
        Point in a Polytope (1976). PCGrad: Gradient Surgery for Multi-Task Learning (arXiv:2001.06782), algorithm 1.

    Deviations:
        PCGrad adds the gradients up; here it takes their mean.
    """
    checks.check_choice(method, "method", get_args(Combination))
    products = _checked(gram)
    num_gradients = len(products)
    if method == "equal":
        coefficients = torch.full((num_gradients,), 1 / num_gradients, dtype=torch.float64)
    else:
        largest = products.diagonal().max()
        scaled = products / largest if largest > 0 else products
        coefficients = _least_norm(scaled) if method == "mgda" else _without_conflicts(scaled)
    return coefficients.to(gram.device, gram.dtype)


def _checked(gram: Tensor) -> Tensor:
    """The matrix on the host in float64, symmetric and positive semidefinite up to the rounding of float64."""
    if not isinstance(gram, Tensor) or not gram.is_floating_point():
        raise InvalidTypeError(f"`gram` must be a tensor of real floats: got {getattr(gram, 'dtype', type(gram))}.")
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.numel() == 0:
        raise InvalidInputError(f"`gram` needs shape (K, K), K at least 1: got {tuple(gram.shape)}.")
    products = gram.detach().to("cpu", torch.float64)
    if not products.isfinite().all():
        raise InvalidInputError(f"`gram` needs finite numbers: got {products.tolist()}.")
    tolerance = len(gram) * 100 * torch.finfo(gram.dtype).eps * float(products.abs().max())
    symmetric = (products + products.T) / 2
    eigenvalues, directions = torch.linalg.eigh(symmetric)
    if (products - symmetric).abs().max() > tolerance or eigenvalues.min() < -tolerance:
        raise InvalidInputError(
            "`gram` must hold the scalar products of K vectors, so it is symmetric and positive semidefinite: got "
            f"{products.tolist()}. Compute it as gradients @ gradients.T."
        )
    # Products rounded to few bits may be those of no vectors at all, on which an active-set search can run in circles.
    return symmetric if eigenvalues.min() >= 0 else directions * eigenvalues.clamp_min(0) @ directions.T


def _least_norm(products: Tensor) -> Tensor:
    """The point of the simplex with the least `c^T G c`.

    Wolfe's algorithm keeps the gradients with a coefficient, the active ones. It adds the one that the combined
    gradient agrees with least, moves to the point of least norm in the plane of the active ones, and drops those whose
    coefficient would turn negative on the way there. Every round lowers the norm, so no set comes back.
    """
    coefficients = torch.zeros(len(products), dtype=products.dtype)
    active = [int(products.diagonal().argmin())]
    coefficients[active] = 1.0
    least = torch.inf
    while True:
        agreement = products @ coefficients
        norm, worst = float(coefficients @ agreement), int(agreement.argmin())
        # A norm that falls no more is at its least up to rounding.
        if norm >= least or agreement[worst] >= norm - _ROUNDING:
            return coefficients
        least = norm
        coefficients, active = _towards_least_norm(products, coefficients, sorted({*active, worst}))


def _towards_least_norm(products: Tensor, coefficients: Tensor, active: list[int]) -> tuple[Tensor, list[int]]:
    """The point of least norm over the active gradients, or over those left when the others had to leave."""
    while True:
        target = torch.zeros_like(coefficients)
        target[active] = _least_norm_of_plane(products[active][:, active])
        if target.min() >= 0:
            return target, target.nonzero()[:, 0].tolist()
        leaving = target < 0
        # As far towards the target as all coefficients stay at 0 or above; the first to get there leaves.
        steps = coefficients[leaving] / (coefficients - target)[leaving]
        first = steps <= steps.min()
        coefficients = (coefficients + float(steps.min()) * (target - coefficients)).clamp_min(0)
        coefficients[leaving.nonzero()[:, 0][first]] = 0.0
        active = coefficients.nonzero()[:, 0].tolist()


def _least_norm_of_plane(products: Tensor) -> Tensor:
    """Coefficients, of any sign, that sum to 1 and have the least norm."""
    size = len(products)
    system = products.new_ones(size + 1, size + 1)
    system[:size, :size] = products
    system[size, size] = 0.0
    right = products.new_zeros(size + 1)
    right[size] = 1.0
    solution: Tensor = torch.linalg.lstsq(system, right[:, None], driver="gelsd").solution
    return solution[:size, 0]


def _without_conflicts(products: Tensor) -> Tensor:
    """Mean over the gradients of each one's coefficients after its conflicts are taken away."""
    num_gradients = len(products)
    coefficients = torch.eye(num_gradients, dtype=products.dtype)
    for row in range(num_gradients):
        for other in range(num_gradients):
            product = coefficients[row] @ products[other]
            if other != row and product < 0:
                coefficients[row, other] -= product / products[other, other]
    return coefficients.mean(0)
