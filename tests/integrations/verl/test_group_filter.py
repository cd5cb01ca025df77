"""verl's replay buffer with our filter of groups: real buffers and trainers of verl, on a queue in memory."""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from verl_parts import KEYS, gd2po_config, legacy_trainer, v1_trainer

from gd2po.errors import ConfigError
from gd2po.integrations.verl.plugin import _filters

import transfer_queue  # isort: skip
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync  # isort: skip

SILENT, CANCELLED = [[1.0, 0.5, 0.2]] * 4, [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]] * 2
GOOD = [[1.0, 0.3, 0.5], [0.0, 0.3, 0.5], [1.0, 1.0, 0.0], [0.3, 0.5, 0.5]]


class Queue:
    """What the replay buffer calls of TransferQueue."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.fields: dict[str, dict[str, Any]] = {}

    def kv_list(self, partition_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
        return {name: dict(tags) for name, tags in self.tags.items() if partition_id in (None, name)}

    def kv_batch_get(
        self, keys: Sequence[str], partition_id: str, select_fields: Sequence[str]
    ) -> dict[str, list[Any]]:
        names = [name for name in select_fields if name in self.fields[keys[0]]]
        return {name: [self.fields[key][name] for key in keys] for name in names}

    def kv_clear(self, partition_id: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.tags[partition_id].pop(key, None)

    def finish(self, groups: dict[str, list[list[float]]]) -> None:
        """Put whole groups of finished prompts into the queue, as the agent loop does."""
        for uid, rewards in groups.items():
            for number, scores in enumerate(rewards):
                info = {"score": sum(scores), **dict(zip(KEYS, scores, strict=True))}
                self.fields[f"{uid}_{number}_0"] = {"extra_fields": {"reward_extra_info": info}}
                self.tags["train"][f"{uid}_{number}_0"] = {"status": "success"}
            self.tags["train"][uid] = {"is_prompt": True, "status": "finished", "global_steps": 1}


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue()
    for name in ("kv_list", "kv_batch_get", "kv_clear"):
        monkeypatch.setattr(transfer_queue, name, getattr(made, name))
    return made


def filtering_trainer(
    *overrides: str, metric: str = "gd2po", batch_size: int = 2, options: tuple[str, ...] = ()
) -> Any:
    """A trainer whose groups verl filters, and whose replay buffer does not wait long."""
    trainer = v1_trainer(
        gd2po_config(
            "method=gdpo",
            *options,
            overrides=(
                "algorithm.filter_groups.enable=true",
                f"algorithm.filter_groups.metric={metric}",
                f"data.train_batch_size={batch_size}",
                *overrides,
            ),
        )
    )
    trainer.replay_buffer.poll_interval = 0.01
    return trainer


def test_groups_without_signal_are_replaced_through_the_filter_of_verl(queue: Queue) -> None:
    trainer = filtering_trainer()
    queue.finish({"silent": SILENT, "cancelled": CANCELLED})
    more = iter([{"good": GOOD}, {"better": GOOD, "best": GOOD}])
    asked: list[int] = []

    def refill(count: int) -> None:
        asked.append(count)
        queue.finish(next(more))

    trainer.replay_buffer.refill_fn = refill
    batch, evictions = trainer.replay_buffer.sample(global_steps=1, partition_id="train", batch_size=2)
    uids = {key.split("_")[0] for key in batch.keys}
    assert len(uids) == 2
    assert uids <= {"good", "better", "best"}
    assert asked == [2, 2]  # verl asks for two for each, in as many as it has slots for
    assert evictions["training/filter_groups/evicted_samples"] == 2
    metrics = _filters[trainer.replay_buffer].metrics()
    assert metrics["conflict/drawn_zero_signal_group_rate"] == pytest.approx(1 / 5)
    assert metrics["conflict/drawn_cancelled_group_rate"] == pytest.approx(1 / 5)


def test_a_scalar_of_verl_sees_less_than_the_reward_vector(queue: Queue) -> None:
    constant_sum = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 2
    queue.finish({"even": constant_sum})
    for metric, options, expected in (
        ("gd2po", ("reward_weights=[1,0.5,1]",), set()),  # the weights leave a signal
        ("gd2po", (), {"even"}),
        ("score", ("reward_weights=[1,0.5,1]",), {"even"}),  # verl's own filter looks at the sum
    ):
        buffer = filtering_trainer(metric=metric, options=options).replay_buffer
        buffer._sync_metadata_from_transfer_queue()
        assert buffer._dapo_filtered_keys("train")[0] == expected, (metric, options)


def test_at_the_bound_the_groups_without_signal_stay_and_that_is_said_once(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = filtering_trainer("algorithm.filter_groups.max_num_gen_batches=2")
    buffer = trainer.replay_buffer
    queue.finish({f"silent{number}": SILENT for number in range(5)})
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.verl.group_filter"):
        for _ in range(3):
            buffer._sync_metadata_from_transfer_queue()
            uids, values = buffer._dapo_filtered_keys("train")
            assert len(uids) == 2  # one more batch of two
            assert values == {1.7: 2}  # the sum of the rewards that they share
    ours = [record.message for record in caplog.records if record.name == "gd2po.integrations.verl.group_filter"]
    assert len(ours) == 1  # beside verl's own at the start, that its buffer ignores the bound
    assert "`max_num_gen_batches` is reached, and 3 of the last groups have no signal" in ours[0]
    trainer.global_steps = 2
    assert len(buffer._dapo_filtered_keys("train")[0]) == 2
    assert buffer._dapo_filtered_keys("val") == (set(), {})


def test_filters_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="`algorithm.filter_groups` has no effect in verl 0.9.1's legacy trainer"):
        legacy_trainer(gd2po_config(overrides=("algorithm.filter_groups.enable=true",)))
    with pytest.raises(ConfigError, match="`trainer.v1.sampler.custom_sampler` names another"):
        filtering_trainer(
            "trainer.v1.sampler.custom_sampler.path=pkg://x", "trainer.v1.sampler.custom_sampler.name=Mine"
        )


def test_the_seams_in_verl_are_where_the_filter_expects_them() -> None:
    assert list(inspect.signature(ReplayBuffer._dapo_filtered_keys).parameters) == ["self", "partition_id"]
    original = inspect.unwrap(ReplayBuffer._dapo_filtered_keys)
    assert "classification_cache = self._dapo_classification_cache[partition_id]" in inspect.getsource(original)
    # It is asked before each eviction, by both kinds of buffer, and not reimplemented in the asynchronous one.
    for kind in (ReplayBuffer, ReplayBufferAsync):
        assert "self._dapo_filtered_keys(partition_id)" in inspect.getsource(kind._terminal_eviction_reasons)
    assert ReplayBufferAsync._dapo_filtered_keys is ReplayBuffer._dapo_filtered_keys
    assert "max_num_gen_batches" not in inspect.getsource(ReplayBuffer)  # verl's bound has no effect there; ours has
