"""A stack of batches is computed as if each batch were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gd2po import gd2po_advantages
from gd2po.core import Setting
from gd2po.core.setting import all_labels
from gd2po.core.stack import Stack

UNEQUAL = torch.tensor([5, 5, 2, 9, 2, 5, 5, 9, 2, 5, 2, 2, 5, 9, 7, 2])
NEEDS = {"reward_minima": [-100.0] * 3, "reward_bounds": [[-100.0, 100.0]] * 3}
FIELDS = (
    "advantages", "reward_advantages", "conflict_mask", "keep_mask", "keep_ratio", "snr", "multipliers", "present_mask",
    "unwhitened", "components", "loss_weight", "loss_advantages", "signal_mask",
)  # fmt: skip


def rewards() -> Tensor:
    numbers = torch.Generator().manual_seed(0)
    drawn = torch.randn(5, len(UNEQUAL), 3, generator=numbers, dtype=torch.float64)
    drawn[1] *= 10
    drawn[2, :4] = 1.0
    return drawn.masked_fill(torch.rand(drawn.shape, generator=numbers) < 0.2, torch.nan)


@pytest.mark.parametrize("group_ids", [UNEQUAL, torch.arange(4).repeat_interleave(4)], ids=["unequal", "blocks"])
@pytest.mark.parametrize("label", all_labels())
def test_every_field_of_a_stack_holds_those_of_its_batches(label: str, group_ids: Tensor) -> None:
    method, fixed = all_labels()[label]
    assert method.stackable
    setting = Setting.of({"method": method.name, **{need: NEEDS[need] for need in method.needs}, **fixed}, "test")
    known: dict[str, Any] = {"correlations": torch.ones(3, 3)}  # what is looked for has to be the same
    alone = [setting.advantages(batch, group_ids, **known) for batch in rewards()]
    together = setting.advantages(rewards().as_subclass(Stack), group_ids, **known)
    for field in FIELDS:
        values, wanted = getattr(together, field), [getattr(result, field) for result in alone]
        if values is None:
            assert wanted == [None] * len(alone), field
        else:
            torch.testing.assert_close(values, torch.stack(wanted), rtol=0, atol=1e-12, msg=field)


def test_each_batch_of_a_stack_finds_its_own_threshold() -> None:
    scores = rewards().nan_to_num()
    alone = [gd2po_advantages(batch, UNEQUAL, snr_threshold="auto") for batch in scores]
    assert len({result.snr_threshold for result in alone}) > 1
    together = gd2po_advantages(scores.as_subclass(Stack), UNEQUAL, snr_threshold="auto")
    assert together.keep_mask.tolist() == [result.keep_mask.tolist() for result in alone]
    assert together.snr_threshold != together.snr_threshold  # NaN


def test_an_error_names_row_and_reward_of_a_batch() -> None:
    scores = rewards()
    scores[4, 11, 2] = torch.inf
    with pytest.raises(ValueError, match="row 11, reward 2 is inf"):
        gd2po_advantages(scores.as_subclass(Stack), UNEQUAL)
    with pytest.raises(ValueError, match=r"two dimensions.*\(5, 16, 3\)"):
        gd2po_advantages(scores, UNEQUAL)
