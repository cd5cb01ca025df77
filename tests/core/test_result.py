"""What a result says of itself at the edges of its tolerances."""

from __future__ import annotations

import pytest
import torch

from gd2po import dr_grpo_advantages
from gd2po.core.tolerances import SIGNAL_TOLERANCE, SIGNAL_TOLERANCE_32


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, SIGNAL_TOLERANCE), (torch.float32, SIGNAL_TOLERANCE_32)]
)
def test_a_group_has_signal_from_above_the_tolerance_on(dtype: torch.dtype, tolerance: float) -> None:
    # Of two scores, one of them 0, the advantages are half of the other one.
    for factor, expected in ((0.9, False), (1.1, True)):
        rewards = torch.tensor([[2 * factor * tolerance], [0.0]], dtype=dtype)
        result = dr_grpo_advantages(rewards, torch.zeros(2, dtype=torch.int64))
        assert result.signal_mask.tolist() == [expected] * 2


def test_an_advantage_at_the_tolerance_is_no_signal() -> None:
    rewards = torch.tensor([[2 * SIGNAL_TOLERANCE], [0.0]], dtype=torch.float64)
    result = dr_grpo_advantages(rewards, torch.zeros(2, dtype=torch.int64))
    assert result.unwhitened.tolist() == [SIGNAL_TOLERANCE, -SIGNAL_TOLERANCE]
    assert not result.signal_mask.any()
