"""verl's filter of groups (DAPO) on the reward vector: which finished groups its replay buffer evicts and replaces.

verl's own filter looks at one number per rollout. With `algorithm.filter_groups.metric=gd2po` the method of the run
judges instead: a group without signal goes. What happens to it then (eviction, refill, draining) is verl's.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any
from weakref import proxy

import torch

from gd2po.core.metrics import PREFIX
from gd2po.errors import ConfigError
from gd2po.integrations.components import number_groups
from gd2po.integrations.session import Session
from gd2po.integrations.verl.batches import from_transfer_queue, uid_of

METRIC = "gd2po"
"""Value of `algorithm.filter_groups.metric` that asks for this filter."""

logger = logging.getLogger(__name__)


class GroupFilter:
    """Judges the finished groups of one trainer's replay buffer.

    Args:
        trainer: a v1 trainer, which knows the step.
        session: of its run.
    """

    def __init__(self, trainer: Any, session: Session) -> None:
        filter_groups = trainer.config.algorithm.filter_groups
        self._trainer, self._session = proxy(trainer), session
        most = filter_groups.get("max_num_gen_batches", 0)
        self._most_evicted = (most - 1) * trainer.config.data.train_batch_size if most > 0 else None
        """Per step; None for no bound."""
        self._step, self._evicted = -1, dict[str, None]()
        self._drawn = self._silent = self._cancelled = 0
        self._said_bound = False

    def filtered(self, buffer: Any, partition_id: str) -> tuple[set[str], Counter[float]]:
        """The groups to evict, and how many of them share which weighted sum of the rewards.

        As `ReplayBuffer._dapo_filtered_keys`, whose cache of judgements it uses: finished groups do not change.
        """
        if partition_id == "val":
            return set(), Counter()
        finished, cache = buffer.finished_keys[partition_id], buffer._dapo_classification_cache[partition_id]
        for uid in cache.keys() - finished:
            del cache[uid]
        if new := finished - cache.keys():
            cache.update(self._judged(buffer, partition_id, new))
        silent = {uid: total for uid, total in cache.items() if total is not None}
        evicted = self._within_bound(silent)
        return evicted, Counter(silent[uid] for uid in evicted)

    def metrics(self) -> dict[str, float]:
        """What to log of the groups judged since the last call."""
        drawn = max(self._drawn, 1)
        metrics = {
            f"{PREFIX}/drawn_zero_signal_group_rate": (self._silent - self._cancelled) / drawn,
            f"{PREFIX}/drawn_cancelled_group_rate": self._cancelled / drawn,
        }
        self._drawn = self._silent = self._cancelled = 0
        return metrics

    def _judged(self, buffer: Any, partition_id: str, uids: set[str]) -> dict[str, float | None]:
        """By group: the mean weighted sum of its rewards if it has no signal, None if it has one."""
        from transfer_queue import KVBatchMeta

        rows = {key: tag for key, tag in buffer.partitions[partition_id].items() if uid_of(key) in uids}
        batch = KVBatchMeta(partition_id=partition_id, keys=list(rows), tags=list(rows.values()))
        rollouts = from_transfer_queue(batch, self._session.reward_names, with_tokens=False)
        weights = self._session.start_step(self._trainer.global_steps)
        names = [uid_of(batch.keys[row]) for row in rollouts.final_rows.tolist()]
        group_ids, ones = number_groups(names), torch.ones(len(names), dtype=torch.int64)
        has_signal, cancelled = self._session.signal_masks(rollouts.rewards, group_ids, ones)
        totals = (rollouts.rewards * torch.tensor(weights, dtype=torch.float64)).nansum(1)
        judged: dict[str, float | None] = {}
        for group, uid in enumerate(dict.fromkeys(names)):
            rows_of_group = group_ids == group
            silent = not has_signal[rows_of_group].any()
            self._drawn += 1
            self._silent += silent
            self._cancelled += bool(cancelled[rows_of_group].any())
            judged[uid] = round(float(totals[rows_of_group].mean()), 6) if silent else None
        return judged

    def _within_bound(self, silent: Iterable[str]) -> set[str]:
        """Those of the groups that may still be replaced at this step."""
        if self._most_evicted is None:
            return set(silent)
        step = self._trainer.global_steps
        if step != self._step:
            self._step, self._evicted = step, {}
        for uid in silent:
            if uid not in self._evicted and len(self._evicted) < self._most_evicted:
                self._evicted[uid] = None
        left = set(silent) - self._evicted.keys()
        if left and not self._said_bound:
            self._said_bound = True
            logger.warning(
                "`algorithm.filter_groups`: `max_num_gen_batches` is reached, and %d of the last groups have no "
                "signal; the run trains on what there is. (Said once.)",
                len(left),
            )
        return set(silent) & self._evicted.keys()


def asks_for_filter(config: Any) -> bool:
    """Whether the configuration of a run asks for this filter."""
    filter_groups = config.algorithm.get("filter_groups")
    return bool(filter_groups and filter_groups.get("enable") and filter_groups.get("metric") == METRIC)


def check_filter(config: Any, *, legacy: bool) -> None:
    """Raise where a run would not be filtered as its configuration says.

    Raises:
        ConfigError: says which setting, and what to do.
    """
    filter_groups = config.algorithm.get("filter_groups")
    if not (filter_groups and filter_groups.get("enable")):
        return
    if legacy:
        raise ConfigError(
            "`algorithm.filter_groups` has no effect in verl 0.9.1's legacy trainer, which has no place for it: set "
            "trainer.use_v1=true, or algorithm.filter_groups.enable=false."
        )
    sampler = config.trainer.v1.sampler.get("custom_sampler")
    if asks_for_filter(config) and sampler is not None and sampler.get("path"):
        raise ConfigError(
            f"`algorithm.filter_groups.metric={METRIC}` works in verl's own replay buffer, and "
            "`trainer.v1.sampler.custom_sampler` names another: leave one of them out."
        )
