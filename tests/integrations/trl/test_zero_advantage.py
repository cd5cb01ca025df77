"""Leaving rollouts without advantage out of the update: the same weights afterwards, for less."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_runs import brevity, length, vowels

from gd2po.integrations.trl.zero_advantage import has_rotary_positions, reason_to_keep_all, reduce_inputs

LOSS_TYPES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]
ONE_PROCESS = SimpleNamespace(num_processes=1)


def update(make_trainer: Any, model: Any, *, skip: bool, **config: Any) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """All changes of the weights by a run with plain gradient descent, and its log."""
    before = torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()])
    trainer = make_trainer(
        [length, vowels, brevity],
        skip_zero_advantage=skip,
        **{"filtering": "hard", "optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, **config},
    )
    trainer.train()
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    with torch.no_grad():  # back to the start, for the run to compare with
        place = 0
        for parameter in model.parameters():
            parameter.copy_(before[place : place + parameter.numel()].view_as(parameter))
            place += parameter.numel()
    return after - before, [entry for entry in trainer.state.log_history if "reward" in entry]


def assert_same_update(make_trainer: Any, model: Any, tolerance: float, **config: Any) -> list[dict[str, Any]]:
    plain, _ = update(make_trainer, model, skip=False, **config)
    skipping, log = update(make_trainer, model, skip=True, **config)
    assert plain.norm() > 1e-4
    assert float((skipping - plain).norm() / plain.norm()) < tolerance
    return log


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_the_update_is_the_same(make_trainer: Any, tiny_model: Any, loss_type: str, level: str) -> None:
    if loss_type == "vespo" and level == "sequence":
        pytest.skip("TRL refuses this combination")
    log = assert_same_update(
        make_trainer, tiny_model, 1e-4, loss_type=loss_type, importance_sampling_level=level, max_steps=1
    )
    assert log[0]["conflict/skipped_rows"] == pytest.approx(log[0]["conflict/filtered_rate"])
    assert log[0]["conflict/skipped_rows"] > 0.2
    assert log[0]["conflict/skipped_tokens"] >= log[0]["conflict/skipped_rows"]


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_the_update_is_the_same_to_the_last_digits_in_double_precision(
    make_trainer: Any, tiny_model: Any, loss_type: str
) -> None:
    assert_same_update(
        make_trainer,
        tiny_model.double(),
        1e-8,
        loss_type=loss_type,
        num_iterations=2,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        max_steps=2,
    )


@pytest.mark.parametrize("estimator", ["grpo", "gdpo"])
def test_groups_without_signal_are_skipped_under_every_estimator(
    make_trainer: Any, tiny_model: Any, estimator: str
) -> None:
    def first_half(completions: list[str], **kwargs: Any) -> list[float]:
        return [float(len(text)) if row < 8 else 0.0 for row, text in enumerate(completions)]

    trainer = make_trainer([first_half], advantage_estimator=estimator, whitening="none", max_steps=1)
    trainer.train()
    (entry,) = (entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["conflict/skipped_rows"] >= 0.5


def test_a_batch_in_which_nothing_is_left_changes_nothing(make_trainer: Any, tiny_model: Any) -> None:
    def same(completions: list[str], **kwargs: Any) -> list[float]:
        return [1.0] * len(completions)

    before = [parameter.detach().clone() for parameter in tiny_model.parameters()]
    trainer = make_trainer([same], max_steps=1, optim="sgd")
    trainer.train()
    assert all(torch.equal(one, other) for one, other in zip(before, tiny_model.parameters(), strict=True))
    (entry,) = (entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["conflict/skipped_rows"] == 15 / 16


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"beta": 0.1}, "KL penalty"),
        ({"top_entropy_quantile": 0.5}, "top_entropy_quantile"),
        ({"entropy_coef": 0.01}, "entropy bonus"),
    ],
)
def test_it_turns_itself_off_where_every_rollout_has_a_gradient(
    make_trainer: Any,
    tiny_model: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, Any],
    reason: str,
) -> None:
    tiny_model.save_pretrained(tmp_path)
    tiny_model.config._name_or_path = str(tmp_path)  # TRL loads the reference model from there
    trainer = make_trainer([length, vowels], filtering="hard", **config)
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    said = [record.message for record in caplog.records if "skip_zero_advantage" in record.message]
    assert len(said) == 1
    assert reason in said[0]
    assert not any("conflict/skipped_rows" in entry for entry in trainer.state.log_history)


def test_evaluation_uses_every_rollout(make_trainer: Any, prompts: Any) -> None:
    trainer = make_trainer([length, vowels], filtering="hard", eval_dataset=prompts, per_device_eval_batch_size=16)
    metrics = trainer.evaluate()
    assert not any("skipped" in name for name in metrics)


def batch(advantages: list[float]) -> dict[str, Any]:
    """Four rollouts, the first with the longest prompt and completion."""
    return {
        "prompt_ids": torch.arange(12).reshape(4, 3),
        "prompt_mask": torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]]),
        "completion_ids": torch.arange(16).reshape(4, 4),
        "completion_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]]),
        "importance_sampling_ratio": torch.ones(4, 1),
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(10),
    }


def test_padding_that_only_skipped_rows_needed_goes_too() -> None:
    reduced = reduce_inputs(batch([0.0, 0.0, 1.0, -1.0]), loss_type="bnpo", rotary=True, accelerator=ONE_PROCESS)
    assert reduced.inputs["prompt_ids"].tolist() == [[7, 8], [10, 11]]
    assert reduced.inputs["completion_ids"].tolist() == [[8, 9], [12, 13]]
    assert reduced.inputs["importance_sampling_ratio"].shape == (2, 1)
    assert reduced.inputs["num_items_in_batch"] == 10
    assert reduced.loss_factor == pytest.approx(3 / 10)
    assert reduced.skipped_rows == 0.5
    assert reduced.skipped_tokens == pytest.approx(1 - 8 / 28)


def test_prompts_stay_where_they_are_if_positions_are_learned() -> None:
    reduced = reduce_inputs(batch([0.0, 0.0, 1.0, -1.0]), loss_type="dapo", rotary=False, accelerator=ONE_PROCESS)
    assert reduced.inputs["prompt_ids"].shape == (2, 3)
    assert reduced.loss_factor == 1


def test_with_nothing_to_leave_out_the_batch_is_as_it_was() -> None:
    given = batch([1.0, -1.0, 2.0, -2.0])
    reduced = reduce_inputs(given, loss_type="bnpo", rotary=True, accelerator=ONE_PROCESS)
    assert reduced.inputs is given
    assert (reduced.loss_factor, reduced.skipped_rows, reduced.skipped_tokens) == (1, 0, 0)


def test_with_nothing_left_the_shortest_rollout_stays() -> None:
    reduced = reduce_inputs(batch([0.0] * 4), loss_type="grpo", rotary=True, accelerator=ONE_PROCESS)
    assert reduced.inputs["completion_ids"].tolist() == [[8]]
    assert reduced.loss_factor == 0.25
    assert reduced.skipped_rows == 0.75
    assert reduced.skipped_tokens == pytest.approx(1 - 2 / 28)


def test_other_processes_decide_how_many_rows_stay() -> None:
    two = SimpleNamespace(num_processes=2, gather=lambda count: torch.tensor([int(count), 3]))
    reduced = reduce_inputs(batch([0.0, 0.0, 0.0, -1.0]), loss_type="grpo", rotary=True, accelerator=two)
    assert reduced.inputs["advantages"].tolist() == [0.0, 0.0, -1.0]
    assert reduced.inputs["completion_ids"][:, 0].tolist() == [4, 8, 12]  # the longest is not among those that fill up
    assert reduced.loss_factor == 0.75


def test_rotary_models_are_told_from_learned_positions(tiny_model: Any) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    assert has_rotary_positions(tiny_model)
    assert not has_rotary_positions(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16)))
    for older in ({"rope_theta": 10_000.0}, {"rope_parameters": {"rope_theta": 10_000.0}}):
        config = SimpleNamespace(**older)
        assert has_rotary_positions(SimpleNamespace(config=SimpleNamespace(get_text_config=lambda c=config: c)))


def trainer_of(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"beta": 0.0, "top_entropy_quantile": 1.0, "loss_type": "dapo", **changes})


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ({"pixel_values": torch.zeros(4, 3)}, "it is not known which rollout each entry of 'pixel_values' belongs to"),
        ({"image_grid_thw": [1, 2, 3, 4]}, "it is not known which rollout each entry of 'image_grid_thw' belongs to"),
        ({"num_items_in_batch": torch.tensor(7)}, None),
        ({"num_items_in_batch": 7}, None),
    ],
)
def test_entries_of_a_batch_that_nobody_knows_keep_all_rows(entry: dict[str, Any], kept: str | None) -> None:
    known = {"prompt_ids": torch.zeros(4, 2), "completion_ids": torch.zeros(4, 2), "advantages": torch.zeros(4)}
    assert reason_to_keep_all(trainer_of(), known) is None
    assert reason_to_keep_all(trainer_of(), known | entry) == kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": 0.1}, "KL penalty"),
        ({"_entropy_bonus_enabled": True}, "entropy bonus"),
        ({"aux_loss_enabled": True}, "auxiliary loss"),
        ({"top_entropy_quantile": 0.9}, "top_entropy_quantile"),
        ({"loss_type": "new"}, "what the loss 'new' divides by"),
    ],
)
def test_settings_that_act_on_every_rollout_keep_all_rows(changes: dict[str, Any], words: str) -> None:
    assert words in str(reason_to_keep_all(trainer_of(**changes), {"advantages": torch.zeros(4)}))
