"""The error models against their moments, and what of them rewards share."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from gd2po.errors import InvalidInputError
from gd2po.worlds import BlindSpot, Flips, Gaussian, RareGross, StudentT, Tilt
from gd2po.worlds.draws import generator
from gd2po.worlds.error_models import ErrorModel

SHAPE = (200, 500)
"""100,000 draws: a share is known to within 0.005, a mean of unit variance to 0.01."""


def drawn(error: ErrorModel, reward: str = "A", seed: int = 0, features: Tensor | None = None) -> Tensor:
    return error.draw(SHAPE, reward, "quality", partial(generator, seed), features)


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_gaussian_errors_have_their_scale_and_mean_zero() -> None:
    errors = drawn(Gaussian(0.3))
    assert float(errors.mean()) == pytest.approx(0, abs=0.003)
    assert float(errors.std()) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_gaussian_errors_of_a_family_correlate_as_declared_and_keep_their_scale(share: float) -> None:
    one, other = drawn(Gaussian(0.3, share), "A"), drawn(Gaussian(0.3, share), "B")
    assert correlation(one, other) == pytest.approx(share, abs=0.01)
    assert float(one.std()) == pytest.approx(0.3, rel=0.01)


def test_gaussian_errors_of_different_families_are_independent() -> None:
    one = Gaussian(1, 1.0).draw(SHAPE, "A", "quality", partial(generator, 0), None)
    other = Gaussian(1, 1.0).draw(SHAPE, "A", "style", partial(generator, 0), None)
    assert abs(correlation(one, other)) < 0.01


def test_student_errors_have_the_quantiles_of_students_t() -> None:
    errors = drawn(StudentT(df=2, scale=0.5)) / 0.5
    # With two degrees of freedom P(|t| < x) = x / sqrt(2 + x²).
    for x in (0.5, 1.0, 4.0, 20.0):
        assert float((errors.abs() < x).double().mean()) == pytest.approx(x / (2 + x * x) ** 0.5, abs=0.006)
    assert float((errors > 0).double().mean()) == pytest.approx(0.5, abs=0.006)


def test_students_t_with_many_degrees_of_freedom_is_normal() -> None:
    errors = drawn(StudentT(df=1e6, scale=1))
    assert float(errors.std()) == pytest.approx(1, rel=0.01)
    assert float((errors.abs() < 1.96).double().mean()) == pytest.approx(0.95, abs=0.003)


def test_rare_gross_errors_hit_their_share_and_are_independent_in_each_reward() -> None:
    one, other = drawn(RareGross(3, 0.08), "A"), drawn(RareGross(3, 0.08), "B")
    assert set(one.unique().tolist()) == {0.0, 3.0}
    assert float((one == 3).double().mean()) == pytest.approx(0.08, abs=0.004)
    assert float(((one == 3) & (other == 3)).double().mean()) == pytest.approx(0.08**2, abs=0.001)


def test_rewards_that_name_the_same_blind_spot_share_it_and_frequencies_nest() -> None:
    one, other = drawn(BlindSpot(2, 0.1), "A"), drawn(BlindSpot(-0.3, 0.2), "B")
    elsewhere = drawn(BlindSpot(2, 0.1, spot="length"), "A")
    assert torch.equal(drawn(BlindSpot(2, 0.1), "A"), drawn(BlindSpot(2, 0.1), "B"))
    assert bool(((one == 2) <= (other == -0.3)).all())
    assert other.min() == -0.3  # in double precision
    assert float((one == 2).double().mean()) == pytest.approx(0.1, abs=0.004)
    assert float(((one == 2) & (elsewhere == 2)).double().mean()) == pytest.approx(0.01, abs=0.002)


def test_blind_spots_and_tilts_of_features_follow_the_feature() -> None:
    features = torch.randn(*SHAPE, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fooled = drawn(BlindSpot(1.5, feature=2, threshold=1.0), features=features)
    assert torch.equal(fooled, 1.5 * (features[..., 2] > 1).double())
    assert torch.equal(drawn(Tilt(0.25, feature=1), features=features), 0.25 * features[..., 1])


def test_flips_have_their_rate() -> None:
    flipped = Flips(0.15).draw(SHAPE, "A", partial(generator, 0))
    assert float(flipped.double().mean()) == pytest.approx(0.15, abs=0.005)


def test_the_errors_of_a_seed_repeat_and_those_of_another_differ() -> None:
    for error in (Gaussian(1), StudentT(3, 1), RareGross(1, 0.5), BlindSpot(1, 0.5)):
        assert torch.equal(drawn(error, seed=3), drawn(error, seed=3))
        assert not torch.equal(drawn(error, seed=3), drawn(error, seed=4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(-1), "`scale` must be a number of at least 0: got -1."),
        (lambda: Gaussian(1, 1.5), "`correlation` must be a number from 0 to 1: got 1.5."),
        (lambda: Gaussian(float("inf")), "`scale` must be a number of at least 0: got inf."),
        (lambda: Gaussian(1, fresh="yes"), "`fresh` must be true or false: got 'yes'."),
        (lambda: StudentT(0, 1), "`df` must be a number of at least 0.1: got 0."),
        (lambda: RareGross(1, 8), "`frequency` must be a number from 0 to 1: got 8."),
        (lambda: RareGross(True, 0.5), "`size` must be a number: got True."),
        (lambda: BlindSpot(1), "`blind_spot` needs `frequency`, or `feature` and `threshold`"),
        (lambda: BlindSpot(1, 0.1, feature=1, threshold=1), "`blind_spot` needs `frequency`, or"),
        (lambda: Flips(-0.1), "`rate` must be a number from 0 to 1: got -0.1."),
    ],
)
def test_impossible_errors_are_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)
