"""The soft minimum where weights make it hard; `methods/test_rvpo.py` has the rest."""

from __future__ import annotations

import torch

from gd2po.core.soft_minimum import prior_shares, soft_minimum


def test_sizes_become_shares_and_nothing_stays_nothing() -> None:
    sizes = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert prior_shares(sizes).tolist() == [[0.25, 0.0], [0.75, 0.0]]
    assert soft_minimum(torch.tensor([[5.0, 5.0], [5.0, -5.0]]), prior_shares(sizes), 2.0)[0].tolist() == [5.0, 0.0]
