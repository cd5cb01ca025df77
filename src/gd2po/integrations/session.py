"""What every host does with a batch: advantages of its setting, metrics, advice, and the rollout log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, Setting, diagnose_batch
from gd2po.core.batch import Weights
from gd2po.core.metrics import PREFIX, batch_metrics
from gd2po.diagnosis.verdict.advice import Advisor
from gd2po.diagnosis.verdict.limits import WINDOW
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.settings import describe_run


@dataclass(eq=False)
class Session:
    """One run of a host.

    Args:
        setting: how advantages come from rewards.
        reward_names: K names.
        reward_weights: (K,) None means all 1.
        log_folder: run folder to write rollouts into; None: they are not logged.
    """

    setting: Setting
    reward_names: Sequence[str]
    reward_weights: Weights = None
    log_folder: str | Path | None = None
    _advisor: Advisor = field(init=False, repr=False)
    _log: RolloutLog | None = field(init=False, repr=False, default=None)
    _batches: int = field(init=False, repr=False, default=0)
    _warned: set[str] = field(init=False, repr=False, default_factory=set)

    def __post_init__(self) -> None:
        options = self.setting.resolved
        filtering = options.get("filtering", "none")
        self._advisor = Advisor(
            self.reward_names,
            filters=None if filtering == "none" else filtering,
            whitens_tokens=options.get("whitening") == "tokens",
        )
        if self.log_folder is not None:
            run = describe_run(self.setting, self.reward_names, self.reward_weights)
            self._log = RolloutLog(self.log_folder, run)

    def advantages(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> AdvantageResult:
        """The advantages of N rollouts: rewards (N, K), groups (N,), completion tokens (N,)."""
        return self.setting.advantages(
            rewards, group_ids, reward_weights=self.reward_weights, token_counts=token_counts
        )

    def metrics(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult) -> dict[str, float]:
        """What a host logs of a batch: the rows of `METRICS`, and the threshold as used."""
        diagnostics = diagnose_batch(rewards, group_ids, result, reward_weights=self.reward_weights)
        metrics = batch_metrics(diagnostics, self.reward_names)
        return metrics | {f"{PREFIX}/snr_threshold": result.snr_threshold}

    def advice(self, metrics: dict[str, float], rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> list[str]:
        """What there is to say of the batches so far, each sentence once in a run.

        Args:
            metrics: of the batch.
            rewards: (N, K)
            group_ids: (N,)
            token_counts: (N,) completion tokens.
        """
        counts = token_counts.to(torch.float32)
        variation = float(counts.std(correction=0) / counts.mean().clamp(min=1))
        found = [*self._warnings(rewards, group_ids), *self._advisor.observe(metrics, length_variation=variation)]
        return [f"{text} (Said once.)" for text in found]

    def _warnings(self, rewards: Tensor, group_ids: Tensor) -> list[str]:
        """What the method warns of and has not been said; after the first batches it has seen what the rewards are."""
        if self._batches >= WINDOW:
            return []
        self._batches += 1
        found = self.setting.warnings(
            rewards, group_ids, reward_weights=self.reward_weights, reward_names=self.reward_names
        )
        new = [text for text in found if text not in self._warned]
        self._warned.update(new)
        return new

    def log(
        self,
        step: int,
        *,
        rewards: Tensor,
        group_ids: Tensor,
        result: AdvantageResult,
        token_counts: Tensor,
        prompts: Sequence[Any],
        completions: Sequence[Any],
    ) -> None:
        """Write the rollouts of a batch, if the run logs them; arguments as of `RolloutLog.write`."""
        if self._log is None:
            return
        self._log.write(
            step,
            reward_names=self.reward_names,
            group_ids=group_ids,
            prompts=prompts,
            completions=completions,
            rewards=rewards,
            result=result,
            token_counts=token_counts,
        )
