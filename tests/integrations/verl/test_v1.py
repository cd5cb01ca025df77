"""The default (v1) trainer: real TransferQueue on a real local Ray, verl's own code on both sides of ours."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from host_metrics import metric_names
from verl_parts import GROUP_IDS, KEYS, REWARDS, TOKENS, gd2po_config, per_rollout, run_with, v1_trainer, verl_config

from gd2po import METHODS, gd2po_advantages
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.errors import InvalidInputError, RewardFunctionError

import ray  # isort: skip
import transfer_queue  # isort: skip
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size  # isort: skip
from verl.utils.tensordict_utils import list_of_dict_to_tensordict  # isort: skip

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Ray's own processes


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)  # the queue wants more than two
        transfer_queue.init()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transfer_queue.close()
        ray.shutdown()


@pytest.fixture
def queue(cluster: None) -> Iterator[Any]:
    """Put rows as the agent loop does; a batch of them comes back."""

    def put(rows: list[dict[str, Any]]) -> Any:
        keys, fields, tags = [], [], []
        for row in rows:
            tokens = row["tokens"]
            keys.append(row["key"])
            fields.append(
                {
                    "uid": row["key"].rsplit("_", 2)[0],
                    "prompts": torch.tensor(row.get("prompt", [1, 1])),
                    "responses": torch.tensor(row.get("response", [1] * tokens)),
                    "response_mask": torch.ones(tokens, dtype=torch.int64),
                    "rm_scores": torch.zeros(tokens),
                    "old_log_probs": torch.zeros(tokens),
                    "num_turns": 1,
                    "extra_fields": {"reward_extra_info": row["info"]},
                    **row.get("fields", {}),
                }
            )
            tags.append({"status": "success", "seq_len": 2 + tokens})
        return transfer_queue.kv_batch_put(
            keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(fields), tags=tags
        )

    yield put
    left = transfer_queue.kv_list("train").get("train", {})
    if left:
        transfer_queue.kv_clear(keys=list(left), partition_id="train")


def rows_of(rewards: Any = REWARDS, keys: list[str] = KEYS) -> list[dict[str, Any]]:
    """One row per rollout: two prompts of four."""
    return [
        {
            "key": f"uid{row // 4}_{row % 4}_0",
            "tokens": TOKENS[row],
            "info": {"score": sum(scores), **dict(zip(keys, scores, strict=True))},
        }
        for row, scores in enumerate(rewards)
    ]


def compute(batch: Any, config: Any) -> tuple[torch.Tensor, dict[str, float]]:
    """What the first step of a run writes, per row, and logs."""
    return step(v1_trainer(config), batch)


def step(trainer: Any, batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
    """What `PPOTrainer._compute_advantage` writes, per row, and logs."""
    metrics: dict[str, float] = {}
    batch = trainer._compute_advantage(batch, metrics)
    data = transfer_queue.kv_batch_get(
        keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages", "returns", "response_mask"]
    )
    padded = data.to_padded_tensor()
    assert torch.equal(padded["advantages"], padded["returns"])
    return per_rollout(padded["advantages"], padded["response_mask"]), metrics


@pytest.mark.parametrize("whitening", ["tokens", "rollouts"])
def test_the_advantages_are_those_of_the_core(queue: Any, whitening: str) -> None:
    found, metrics = compute(queue(rows_of()), gd2po_config(f"whitening={whitening}", "snr_threshold=0.3"))
    expected = gd2po_advantages(
        torch.tensor(REWARDS), GROUP_IDS, whitening=whitening, snr_threshold=0.3, token_counts=torch.tensor(TOKENS)
    )
    assert 2 < expected.keep_mask.sum() < 8
    torch.testing.assert_close(found, expected.advantages, rtol=1e-5, atol=1e-5)
    assert metrics["conflict/snr_threshold"] == 0.3
    assert metrics["conflict/filtered_rate"] == pytest.approx(1 - expected.keep_mask.double().mean().item())
    assert metrics["rewards/format/mean"] == pytest.approx(np.mean(REWARDS, axis=0)[1])
    assert set(metrics) == metric_names(KEYS) | {f"rewards/{key}/mean" for key in KEYS}


@pytest.mark.parametrize("method", METHODS)
def test_the_section_takes_every_method(queue: Any, method: str) -> None:
    config, expected = run_with(method)
    found, _ = compute(queue(rows_of()), config)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_trainer_hears_each_advice_once_in_its_run(queue: Any, caplog: pytest.LogCaptureFixture) -> None:
    batch = queue(rows_of([[*scores[:2], 0.5] for scores in REWARDS]))

    def said(trainer: Any, steps: int) -> int:
        caplog.clear()
        for _ in range(steps):
            step(trainer, batch)
        return sum("'length' was the same for all rollouts" in record.message for record in caplog.records)

    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.verl.plugin"):
        first, second = v1_trainer(gd2po_config()), v1_trainer(gd2po_config())
        assert said(first, WINDOW - 1) == 0
        assert said(second, 1) == 0
        assert said(first, 1) == 1
        assert said(first, 2) == 0


def test_the_rollouts_of_every_step_are_logged_and_a_session_is_one(queue: Any, tokenizer: Any, tmp_path: Path) -> None:
    trainer = v1_trainer(gd2po_config(f"log_folder={tmp_path}"), tokenizer)
    rows = rows_of()
    for number, row in enumerate(rows):
        row["prompt"] = tokenizer(f"Question {number // 4}?")["input_ids"]
        row["response"] = [*tokenizer(f"Answer {number}.")["input_ids"], tokenizer.eos_token_id]
        row["tokens"] = len(row["response"])
    rows[6]["info"]["format"] = None
    rows[1]["key"] = "uid0_1_1"
    earlier = {"key": "uid0_1_0", "tokens": 7, "info": {}}
    batch = upsample_batch_to_divisible_size(queue([earlier, *rows]), 5, eos_token_id=0)
    for _ in range(2):
        computed, _ = step(trainer, batch)
        trainer.global_steps += 1
    assert len(computed) == 10
    log = pd.concat(map(pd.read_parquet, sorted((tmp_path / "rollouts").iterdir())))
    assert log["step"].tolist() == [1] * 8 + [2] * 8
    # The session of two rows is where its first row is.
    order = [1, 0, *range(2, 8)]
    last = log[log["step"] == 2]
    assert last["prompt"].tolist() == [f"Question {number // 4}?" for number in order]
    assert last["completion"].tolist() == [f"Answer {number}." for number in order]
    assert last["completion_tokens"].tolist() == [rows[number]["tokens"] for number in order]
    assert last["reward/length"].tolist() == pytest.approx([REWARDS[number][2] for number in order])
    assert last["reward/format"].isna().tolist() == [number == 6 for number in order]
    assert last["advantage"].tolist() == pytest.approx(computed[[2, 1, *range(3, 9)]].tolist(), abs=1e-6)


def test_two_batches_of_one_step_are_both_logged(queue: Any, tokenizer: Any, tmp_path: Path) -> None:
    trainer = v1_trainer(gd2po_config(f"log_folder={tmp_path}"), tokenizer)
    batch = queue(rows_of())
    for _ in range(2):  # as with trainer.v1.*.parameter_sync_step=2
        step(trainer, batch)
    assert len(list((tmp_path / "rollouts").iterdir())) == 2


def test_a_batch_in_another_order_gives_every_row_its_own_advantage(queue: Any) -> None:
    batch = queue(rows_of())
    expected, _ = compute(batch, gd2po_config("whitening=tokens"))
    order = [5, 0, 7, 2, 3, 6, 1, 4]
    batch.reorder(order)
    found, _ = compute(batch, gd2po_config("whitening=tokens"))
    torch.testing.assert_close(found, expected[order])


def test_rows_of_a_session_count_as_its_final_row_and_share_its_advantage(queue: Any) -> None:
    expected, expected_metrics = compute(queue(rows_of()), gd2po_config("whitening=tokens"))
    earlier = [
        {"key": "uid0_1_0", "tokens": 7, "info": dict.fromkeys(KEYS, 9.0)},
        {"key": "uid1_2_0", "tokens": 9, "info": {}},
        {"key": "uid1_2_2", "tokens": 2, "info": {}},
    ]
    rows = rows_of()
    rows[1]["key"], rows[6]["key"] = "uid0_1_1", "uid1_2_10"  # the tenth comes after the second, not before
    transfer_queue.kv_clear(keys=[row["key"] for row in rows_of()], partition_id="train")
    found, metrics = compute(queue([*earlier, *rows]), gd2po_config("whitening=tokens"))
    torch.testing.assert_close(found[3:], expected)
    torch.testing.assert_close(found[:3], expected[[1, 6, 6]])
    assert metrics == pytest.approx(expected_metrics, nan_ok=True)


@pytest.mark.parametrize("whitening", ["tokens", "rollouts"])
def test_padding_rows_of_verl_change_nothing(queue: Any, whitening: str) -> None:
    batch = queue(rows_of())
    expected, expected_metrics = compute(batch, gd2po_config(f"whitening={whitening}"))
    padded = upsample_batch_to_divisible_size(batch, 5, eos_token_id=0)
    assert len(padded.keys) == 10
    found, metrics = compute(padded, gd2po_config(f"whitening={whitening}"))
    torch.testing.assert_close(found[:8], expected)
    assert found[8:].tolist() == [0, 0]
    assert metrics == pytest.approx(expected_metrics, nan_ok=True)


def test_a_reward_model_that_writes_fields_of_its_own_is_read(queue: Any) -> None:
    rows = rows_of()
    for row in rows:
        row["fields"] = {"format": row["info"].pop("format")}
    found, _ = compute(queue(rows), gd2po_config("method=gd2po"))
    torch.testing.assert_close(found, gd2po_advantages(torch.tensor(REWARDS), GROUP_IDS).advantages)


def test_none_and_nan_say_that_a_reward_does_not_apply(queue: Any) -> None:
    rewards = torch.tensor(REWARDS)
    rewards[2, 1] = rewards[5, 1] = float("nan")
    rows = rows_of()
    rows[2]["info"]["format"], rows[5]["info"]["format"] = None, float("nan")
    found, _ = compute(queue(rows), gd2po_config("method=gd2po"))
    torch.testing.assert_close(found, gd2po_advantages(rewards, GROUP_IDS).advantages)


def test_a_missing_reward_names_the_sample_and_what_it_has(queue: Any) -> None:
    rows = rows_of()
    del rows[5]["info"]["format"]
    with pytest.raises(
        RewardFunctionError, match="Sample uid1_1_0 has no reward 'format', it has: score, correctness, length"
    ):
        compute(queue(rows), gd2po_config())


def test_a_component_that_is_a_list_names_its_sample(queue: Any) -> None:
    rows = rows_of()
    rows[3]["info"]["format"] = [1.0, 0.0]
    with pytest.raises(RewardFunctionError, match=r"Sample uid0_3_0: reward 'format' must be a finite number"):
        compute(queue(rows), gd2po_config())


def test_a_group_spread_over_batches_names_the_rollout_that_waits(queue: Any) -> None:
    batch = queue(rows_of())
    part = type(batch)(keys=batch.keys[:6], tags=batch.tags[:6], partition_id=batch.partition_id)
    with pytest.raises(InvalidInputError, match=r"The group of uid1 is spread over several batches: uid1_2_0"):
        compute(part, gd2po_config())


def test_a_prompt_with_a_failed_session_is_compared_among_the_rest(queue: Any) -> None:
    rows = rows_of()[:7]
    transfer_queue.kv_put(key="uid1", partition_id="train", tag={"status": "finished"})
    found, _ = compute(queue(rows), gd2po_config("method=gd2po"))
    torch.testing.assert_close(found, gd2po_advantages(torch.tensor(REWARDS[:7]), GROUP_IDS[:7]).advantages)


def test_grpo_of_verl_is_left_alone(queue: Any) -> None:
    found, metrics = compute(queue(rows_of()), verl_config("algorithm.adv_estimator=grpo"))
    assert not found.any()  # all rm_scores of the rows are 0
    assert not metrics


def test_the_estimator_is_there_in_other_processes_of_the_cluster(cluster: None) -> None:
    @ray.remote(num_cpus=0)
    def name_of_estimator() -> str:
        from verl.trainer.ppo.core_algos import get_adv_estimator_fn

        return str(get_adv_estimator_fn("gd2po").__name__)

    assert ray.get(name_of_estimator.remote(), timeout=120) == "gd2po_estimator"
