"""Estimates and their intervals."""

from __future__ import annotations

import numpy as np
import torch

from gd2po.diagnosis.numbers.estimates import Estimates


def test_intervals_of_many_are_those_of_each() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(101, 5))
    values[:, 1] = np.nan
    values[3:9, 2] = np.nan
    values[0, 3] = np.nan
    for groups in (4, 40):
        estimates = Estimates({}, torch.zeros(1, 1, 1), groups)
        many = estimates.intervals(values)
        assert many == [estimates.interval(column) for column in values.T]
    assert many[0].low is not None
    assert many[1] == many[1].__class__(None, None, None)
    assert many[2].low is not None
    assert (many[3].value, many[3].low is None) == (None, False)
