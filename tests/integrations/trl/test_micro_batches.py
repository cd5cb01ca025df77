"""Micro-batches by length: the same update, with less padding."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_runs import length, vowels

from gd2po.integrations.trl.micro_batches import by_length, reason_to_leave_mixed

ACCUMULATED: dict[str, Any] = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
ENDS = {"sequence_bias": [[[2], 6.0]]}
"""For a policy that knows nothing and would hardly ever end."""


def update(make_trainer: Any, model: Any, **config: Any) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """All changes of the weights by a run with plain gradient descent, and the shape of each forward pass of a loss."""
    before = [parameter.detach().clone() for parameter in model.parameters()]
    plain = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "generation_kwargs": ENDS}
    trainer = make_trainer([length, vowels], **{**ACCUMULATED, **plain, **config})
    shapes: list[tuple[int, int]] = []
    hook = trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: (
            shapes.append(tuple(kwargs["input_ids"].shape)) if "labels" in kwargs and torch.is_grad_enabled() else None
        ),
        with_kwargs=True,
    )
    trainer.train()
    hook.remove()
    change = torch.cat([(now - then).detach().flatten() for now, then in zip(model.parameters(), before, strict=True)])
    with torch.no_grad():  # back to the start, for the run to compare with
        for now, then in zip(model.parameters(), before, strict=True):
            now.copy_(then)
    return change, shapes


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"])
@pytest.mark.parametrize("skip", [True, False])
def test_the_update_is_the_same(make_trainer: Any, tiny_model: Any, loss_type: str, skip: bool) -> None:
    model = tiny_model.double()
    config = {"loss_type": loss_type, "skip_zero_advantage": skip, "num_iterations": 2, "max_steps": 2}
    mixed, before = update(make_trainer, model, **config)
    sorted_, after = update(make_trainer, model, micro_batches_by_length=True, **config)
    assert mixed.norm() > 1e-4
    assert float((sorted_ - mixed).norm() / mixed.norm()) < 2e-6  # the head of TRL adds up in single precision
    assert len(before) == len(after) == 8
    assert sum(width for _, width in after) < sum(width for _, width in before)
    assert all(shape == (4, shape[1]) for shape in after) or skip


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"loss_type": "bnpo"}, "the loss 'bnpo' divides by the tokens of a micro-batch"),
        ({"gradient_accumulation_steps": 2, "steps_per_generation": 4}, "an update sees only some micro-batches"),
        ({"top_entropy_quantile": 0.5}, "top_entropy_quantile"),
    ],
)
def test_it_says_once_where_it_cannot_be(
    make_trainer: Any, tiny_model: Any, caplog: pytest.LogCaptureFixture, config: dict[str, Any], reason: str
) -> None:
    trainer = make_trainer([length, vowels], **{**ACCUMULATED, **config}, micro_batches_by_length=True)
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    (said,) = (record.message for record in caplog.records if "micro_batches_by_length" in record.message)
    assert reason in said


def trainer_of(**changes: Any) -> SimpleNamespace:
    args = SimpleNamespace(gradient_accumulation_steps=4, steps_per_generation=4)
    return SimpleNamespace(**{"args": args, "top_entropy_quantile": 1.0, "loss_type": "dapo", **changes})


@pytest.mark.parametrize(
    ("changes", "entry", "words"),
    [
        ({}, {}, None),
        ({"_entropy_bonus_enabled": True}, {}, "entropy bonus"),
        ({"aux_loss_enabled": True}, {}, "auxiliary loss"),
        ({}, {"pixel_values": torch.zeros(4, 3)}, "'pixel_values'"),
    ],
)
def test_what_depends_on_the_micro_batch(changes: dict[str, Any], entry: dict[str, Any], words: str | None) -> None:
    reason = reason_to_leave_mixed(trainer_of(**changes), {"advantages": torch.zeros(4), **entry})
    assert (reason is None) if words is None else (words in str(reason))


def batch(lengths: list[int]) -> dict[str, Any]:
    """Rollouts with completions of these lengths, prompts of as many tokens less one, and their length as advantage."""
    wide = torch.arange(6)
    return {
        "prompt_ids": torch.tensor(lengths)[:, None].expand(-1, 6),
        "prompt_mask": torch.stack([(wide > 6 - count).long() for count in lengths]),
        "completion_ids": torch.tensor(lengths)[:, None].expand(-1, 6),
        "completion_mask": torch.stack([(wide < count).long() for count in lengths]),
        "advantages": torch.tensor(lengths, dtype=torch.float32),
        "num_items_in_batch": torch.tensor(10),
    }


@pytest.mark.parametrize(("rotary", "widths"), [(True, [5, 2]), (False, [6, 6])])
def test_the_longest_come_first_and_padding_goes(rotary: bool, widths: list[int]) -> None:
    dealt = by_length([batch([2, 6]), batch([4, 3])], rotary=rotary)
    assert [one["advantages"].tolist() for one in dealt] == [[6, 4], [3, 2]]
    assert [one["completion_ids"].tolist() for one in dealt] == [[[6] * 6, [4] * 6], [[3] * 3, [2] * 3]]
    assert [one["completion_mask"].sum(1).tolist() for one in dealt] == [[6, 4], [3, 2]]
    assert [one["prompt_ids"].shape[1] for one in dealt] == widths
    assert [one["num_items_in_batch"] for one in dealt] == [10, 10]
