"""Error models: what a reward adds to the true goals. Each is a declaration and knows how to draw itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Generator, Tensor

from gd2po.errors import InvalidInputError
from gd2po.worlds.checks import check_number, check_switch, check_text

Source = Callable[[str], Generator]
"""The generator for something that is named: the same name gives the same numbers for the same seed."""


class ErrorModel(Protocol):
    """An additive error. Drawn once per (prompt, answer), or at every visit where `fresh`."""

    kind: ClassVar[str]

    @property
    def fresh(self) -> bool:
        """Whether the error is drawn anew at every visit."""

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """The error of one seed.

        Args:
            shape: of what comes back.
            reward: its name; errors of other rewards are independent of its own.
            family: of the reward.
            source: generators of the seed by name.
            features: `shape` and one dimension more; None in a tabular world.
        """


@dataclass(frozen=True)
class Gaussian:
    """Normal errors: `scale N`. Inside a family they correlate by `correlation`."""

    kind: ClassVar[str] = "gaussian"
    scale: float
    correlation: float = 0.0
    """Between rewards of one family, in [0, 1]: the share of the variance that they have in common."""
    fresh: bool = False

    def __post_init__(self) -> None:
        check_number(self.scale, "scale", 0)
        check_number(self.correlation, "correlation", 0, 1)
        check_switch(self.fresh, "fresh")

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """As of `ErrorModel`."""
        own = _normal(shape, source(f"gaussian of reward {reward}"))
        if self.correlation == 0:
            return self.scale * own
        common = _normal(shape, source(f"gaussian of family {family}"))
        return self.scale * (math.sqrt(self.correlation) * common + math.sqrt(1 - self.correlation) * own)


@dataclass(frozen=True)
class StudentT:
    """Heavy-tailed errors: `scale t(df)`. With df <= 2 their variance is infinite.

    Source: Bailey, "Polar generation of random variates with the t-distribution" (1994).
    """

    kind: ClassVar[str] = "student_t"
    df: float
    scale: float
    fresh: bool = False

    def __post_init__(self) -> None:
        check_number(self.df, "df", 0.1)
        check_number(self.scale, "scale", 0)
        check_switch(self.fresh, "fresh")

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """As of `ErrorModel`."""
        uniform = torch.rand(2, *shape, generator=source(f"student_t of reward {reward}"), dtype=torch.float64)
        tail = 1 - uniform[0]  # in (0, 1]: 0 has no logarithm
        radius = (self.df * torch.expm1(-2 / self.df * tail.log())).sqrt()
        return self.scale * radius * torch.cos(2 * math.pi * uniform[1])


@dataclass(frozen=True)
class RareGross:
    """Rare gross errors: `size` on a share `frequency` of the answers, independently in each reward."""

    kind: ClassVar[str] = "rare_gross"
    size: float
    frequency: float
    fresh: bool = False

    def __post_init__(self) -> None:
        check_number(self.size, "size")
        check_number(self.frequency, "frequency", 0, 1)
        check_switch(self.fresh, "fresh")

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """As of `ErrorModel`."""
        generator = source(f"rare_gross of reward {reward}")
        return self.size * (torch.rand(shape, generator=generator, dtype=torch.float64) < self.frequency).double()


@dataclass(frozen=True)
class BlindSpot:
    """A kind of answer that fools the reward: `size` on all of its answers. Rewards that name the same spot share it.

    The kind is a random share `frequency` of the answers or, in a world of features, the answers whose feature number
    `feature` is above `threshold`, which a policy can learn everywhere.
    """

    kind: ClassVar[str] = "blind_spot"
    size: float
    frequency: float | None = None
    spot: str = "blind spot"
    """Name of the random kind; the kinds of one name are nested where frequencies differ."""
    feature: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_number(self.size, "size")
        check_text(self.spot, "spot")
        if self.frequency is not None:
            check_number(self.frequency, "frequency", 0, 1)
        if self.threshold is not None:
            check_number(self.threshold, "threshold")
        given = [self.frequency is not None, self.feature is not None, self.threshold is not None]
        if given not in ([True, False, False], [False, True, True]):
            raise InvalidInputError(
                "`blind_spot` needs `frequency`, or `feature` and `threshold`: got "
                f"frequency={self.frequency}, feature={self.feature}, threshold={self.threshold}."
            )

    @property
    def fresh(self) -> bool:
        """Never: a kind of answer stays what it is."""
        return False

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """As of `ErrorModel`."""
        if self.frequency is None:
            assert features is not None
            assert self.feature is not None
            assert self.threshold is not None
            return self.size * (features[..., self.feature] > self.threshold).double()
        generator = source(f"blind_spot {self.spot}")
        return self.size * (torch.rand(shape, generator=generator, dtype=torch.float64) < self.frequency).double()


@dataclass(frozen=True)
class Tilt:
    """A reward that likes a feature of the answers: `size` times its value. For worlds of features."""

    kind: ClassVar[str] = "tilt"
    size: float
    feature: int

    def __post_init__(self) -> None:
        check_number(self.size, "size")

    @property
    def fresh(self) -> bool:
        """Never: a feature stays what it is."""
        return False

    def draw(self, shape: tuple[int, ...], reward: str, family: str, source: Source, features: Tensor | None) -> Tensor:
        """As of `ErrorModel`."""
        assert features is not None
        return self.size * features[..., self.feature]


ERROR_MODELS: dict[str, type[Gaussian | StudentT | RareGross | BlindSpot | Tilt]] = {
    model.kind: model for model in (Gaussian, StudentT, RareGross, BlindSpot, Tilt)
}
"""Every error model by the `kind` of a YAML file."""


@dataclass(frozen=True)
class Flips:
    """Flips of a binary reward: a share `rate` of its scores is turned round."""

    rate: float
    fresh: bool = False

    def __post_init__(self) -> None:
        check_number(self.rate, "rate", 0, 1)
        check_switch(self.fresh, "fresh")

    def draw(self, shape: tuple[int, ...], reward: str, source: Source) -> Tensor:
        """Bool: what is flipped, of one seed."""
        return torch.rand(shape, generator=source(f"flips of reward {reward}"), dtype=torch.float64) < self.rate


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
