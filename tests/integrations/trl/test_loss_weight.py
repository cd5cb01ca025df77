"""A query weight on the loss stands outside the clipping of every loss that TRL has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_runs import brevity, length, vowels
from trl import GRPOTrainer

from gd2po import gd2po_advantages

LOSS_TYPES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_the_clipped_loss_is_weighted_and_not_clipped_otherwise(
    make_trainer: Any, monkeypatch: pytest.MonkeyPatch, loss_type: str
) -> None:
    trainer = make_trainer(
        [length, vowels, brevity], filtering="snr", snr_threshold=0.6, query_weight_in="loss", loss_type=loss_type,
        max_steps=1, beta=0.0, skip_zero_advantage=False,
    )  # fmt: skip
    seen: dict[str, Any] = {}
    monkeypatch.setattr(trainer, "_record", lambda rewards, ids, result, counts: seen.update(rewards=rewards, ids=ids))
    loss_of_trl = GRPOTrainer._compute_loss

    def keep_inputs(self: Any, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        seen["inputs"] = inputs
        return loss_of_trl(self, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", keep_inputs)
    trainer.train()

    inputs, model = dict(seen["inputs"]), trainer.model
    logprobs = -1.0 - torch.rand(inputs["completion_ids"].shape, generator=torch.Generator().manual_seed(0))
    inputs["old_per_token_logps"] = logprobs  # far from the policy, so that most ratios are clipped

    def loss(advantages: torch.Tensor) -> float:
        with torch.no_grad():
            return float(loss_of_trl(trainer, model, {**inputs, "advantages": advantages}))

    result = gd2po_advantages(seen["rewards"], seen["ids"], filtering="snr", snr_threshold=0.6, query_weight_in="loss")
    order = match(inputs["advantages"], result.loss_advantages)
    advantages, weight = result.advantages[order], result.loss_weight[order]
    assert 0 < weight.min() < weight.max() <= 1
    # A rollout adds to the loss in proportion to its own clipped loss, which is that of all others without advantage.
    alone = [loss(torch.where(torch.arange(len(order)) == row, advantages, 0.0)) for row in range(len(order))]
    outside = sum(float(w) * one for w, one in zip(weight, alone, strict=True))
    assert loss(inputs["advantages"]) == pytest.approx(outside, rel=1e-4, abs=1e-7)
    inside = gd2po_advantages(seen["rewards"], seen["ids"], filtering="snr", snr_threshold=0.6).advantages[order]
    assert abs(loss(inside) - outside) > 1e-3 * abs(outside)


def match(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """The row of each of the values found: TRL shuffles a batch before the update."""
    order = (found[:, None] - expected[None]).abs().argmin(1)
    torch.testing.assert_close(expected[order], found)
    assert sorted(expected[order].tolist()) == pytest.approx(sorted(found.tolist()))
    return order
