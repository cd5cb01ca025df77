"""Whether a correlation differs between groups: what chance does is no finding, and what it cannot do is one."""

from __future__ import annotations

import numpy as np
import pytest

from gd2po.diagnosis.numbers.agreement import may_be_uneven, uneven_agreement

SIZE = 8


def log(latent: np.ndarray, seed: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of two rewards with a correlation per group."""
    random = np.random.default_rng(seed)
    first, noise = random.normal(size=(2, len(latent), SIZE))
    second = latent[:, None] * first + np.sqrt(1 - latent[:, None] ** 2) * noise
    ranks = []
    for values in (first, second):
        scores = values if levels is None else np.round(values * levels)
        beats = (scores[:, :, None] > scores[:, None, :]).sum(2) - (scores[:, :, None] < scores[:, None, :]).sum(2)
        ranks.append(beats.ravel() / 2)
    return ranks[0], ranks[1], np.repeat(np.arange(len(latent)), SIZE)


@pytest.mark.parametrize(("latent", "levels"), [(0.0, None), (0.6, None), (0.6, 1), (0.9, None)])
def test_an_even_correlation_varies_no_more_than_chance(latent: float, levels: int | None) -> None:
    spread, sure = uneven_agreement(*log(np.full(300, latent), 1, levels))
    assert spread is not None
    assert sure is not None
    assert spread < 0.1 or sure < 0.99


def test_agreement_in_some_groups_alone_varies_more() -> None:
    mixed = log(np.where(np.arange(300) % 3 == 0, -0.5, 0.6), 2)
    spread, sure = uneven_agreement(*mixed)
    assert spread is not None
    assert spread > 0.3
    assert sure == 1
    assert may_be_uneven(*mixed)
    assert not may_be_uneven(*log(np.zeros(300), 3))


def test_nothing_is_said_of_nothing() -> None:
    empty = np.zeros(0)
    assert uneven_agreement(empty, empty, np.zeros(0, dtype=np.int64)) == (None, None)
    constant = np.zeros(16)
    assert uneven_agreement(constant, constant, np.arange(16) // 8) == (None, None)
    assert not may_be_uneven(constant, constant, np.arange(16) // 8)
