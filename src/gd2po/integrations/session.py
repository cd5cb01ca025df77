"""What every host does with a batch: conditions and weights of the step, advantages, metrics, advice, rollout log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, Setting, diagnose_batch
from gd2po.core.agreement import Agreement
from gd2po.core.metrics import PREFIX, batch_metrics
from gd2po.core.tails import tail_weight
from gd2po.core.transforms import reward_varies_mask
from gd2po.diagnosis.verdict.advice import Advisor
from gd2po.diagnosis.verdict.limits import WINDOW
from gd2po.errors import ConfigError
from gd2po.integrations.reward_tally import RewardTally
from gd2po.logs.names import name_problem
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights
from gd2po.runs.settings import describe_run


@dataclass(eq=False)
class Session:
    """One run of a host.

    Args:
        setting: how advantages come from rewards.
        reward_names: K names.
        reward_weights: of the K rewards; None means all 1. Where they move, the host says which step it is, with
            `start_step`, before each batch.
        log_folder: run folder to write rollouts into; None: they are not logged.
        reward_conditions: which rewards count only where another one is high enough; None: all count.
        reward_families: (K,) labels, equal for rewards of one family; None: none are declared.

    Raises:
        ConfigError: a name that is empty or holds a line break.
    """

    setting: Setting
    reward_names: Sequence[str]
    reward_weights: RewardWeights | None = None
    log_folder: str | Path | None = None
    reward_conditions: RewardConditions | None = None
    reward_families: Sequence[str] | None = None
    weights_now: list[float] | None = field(init=False, default=None)
    """(K,) the weights of the current step."""
    agreement: Agreement | None = field(init=False, default=None)
    """Of the rewards over the batches so far, where the setting finds families by it."""
    tally: RewardTally = field(init=False, repr=False)
    """What each reward has done in the batches for updates."""
    _advisor: Advisor = field(init=False, repr=False)
    _log: RolloutLog | None = field(init=False, repr=False, default=None)
    _batches: int = field(init=False, repr=False, default=0)
    _warned: set[str] = field(init=False, repr=False, default_factory=set)

    def __post_init__(self) -> None:
        for name in self.reward_names:
            problem = name_problem(name)
            if problem is not None:
                raise ConfigError(f"The name of the reward {name!r} {problem}: logs and reports could not hold it.")
        self.tally = RewardTally(len(self.reward_names))
        options = self.setting.resolved
        filtering = options.get("filtering", "none")
        if filtering == "snr" and options["snr_threshold"] == "auto":
            filtering = "auto"
        self._advisor = Advisor(
            self.reward_names,
            filters=None if filtering == "none" else filtering,
            whitens_tokens=options.get("whitening") == "tokens",
            reward_families=self.reward_families,
            ranks=options.get("standardisation", "zscore") != "zscore",
        )
        if self.reward_weights is None:
            self.reward_weights = RewardWeights((1.0,) * len(self.reward_names))
        if not self.reward_weights.move:
            self.weights_now = self.reward_weights.at(1)
        if self.log_folder is not None:
            run = describe_run(
                self.setting, self.reward_names, self.reward_weights, self.reward_conditions, self.reward_families
            )
            self._log = RolloutLog(self.log_folder, run)

    def start_step(self, step: int | None) -> list[float] | None:
        """The weights of a step, which are those of all batches from now on.

        Args:
            step: the update that the next batch is for, from 1; None: it is over, and which one comes next is unknown.

        Raises:
            InvalidInputError: a schedule of the weights has ended.
            RewardFunctionError: a function of the weights raised.
        """
        assert self.reward_weights is not None  # since __post_init__
        if self.reward_weights.move:
            self.weights_now = None if step is None else self.reward_weights.at(step)
        return self.weights_now

    def conditioned(self, rewards: Tensor) -> Tensor:
        """The rewards (N, K) as the method sees them, from what the reward functions gave."""
        return rewards if self.reward_conditions is None else self.reward_conditions.apply(rewards, self.reward_names)

    @property
    def _weights(self) -> list[float]:
        if self.weights_now is None:
            raise ConfigError(
                "`reward_weights` move over the steps, and nobody has said which step this batch is for: give weights "
                "that are numbers here."
            )
        return self.weights_now

    def advantages(
        self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor, *, training: bool = True
    ) -> AdvantageResult:
        """The advantages of N rollouts.

        Args:
            rewards: (N, K)
            group_ids: (N,)
            token_counts: (N,) completion tokens.
            training: the batch is for an update, so that families found by correlation are found by it too.
        """
        if training:
            self.tally.count(rewards, group_ids)
        rewards = self.conditioned(rewards)
        if training and self.setting.finds_families(self.reward_families):
            now = Agreement.of(rewards, group_ids, reward_weights=self._weights)
            self.agreement = now.after(self.agreement)
        return self.setting.advantages(
            rewards,
            group_ids,
            reward_weights=self._weights,
            reward_families=self.reward_families,
            correlations=None if self.agreement is None else self.agreement.correlation,
            token_counts=token_counts,
        )

    def state(self) -> dict[str, Any]:
        """What the run knows of its batches so far, as JSON holds it: for a checkpoint."""
        return {"tally": self.tally.plain(), "agreement": None if self.agreement is None else self.agreement.plain()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume with what `state` gave; what is missing from it starts anew.

        Raises:
            InvalidInputError: it is of other rewards, or something else.
        """
        tally, agreement = state.get("tally"), state.get("agreement")
        if tally is not None:
            self.tally = RewardTally.from_plain(tally, len(self.reward_names))
        if agreement is not None:
            self.agreement = Agreement.from_plain(agreement, len(self.reward_names))

    def signal_masks(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> tuple[Tensor, Tensor]:
        """Which groups of a batch the method leaves a signal; the batch is not counted as one of the run.

        Returns:
            (N,) bool: the rollout's group has a signal; (N,) bool: it is cancelled, so that a reward varies in it and
            the method leaves no signal.
        """
        has_signal = self.advantages(rewards, group_ids, token_counts, training=False).signal_mask
        varies = reward_varies_mask(self.conditioned(rewards), group_ids, reward_weights=self._weights).any(1)
        return has_signal, varies & ~has_signal

    def metrics(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult) -> dict[str, float]:
        """What a host logs of a batch: the rows of `METRICS`, tails of families, and threshold and weights as used."""
        weights, rewards = self._weights, self.conditioned(rewards)
        diagnostics = diagnose_batch(rewards, group_ids, result, reward_weights=weights)
        metrics = batch_metrics(diagnostics, self.reward_names)
        if self.reward_families is not None:
            tails = tail_weight(rewards, group_ids, self.reward_families, reward_weights=weights)
            metrics |= {f"{PREFIX}/tail/{family}": tail for family, tail in tails.items()}
        as_used = {f"{PREFIX}/weight/{name}": weight for name, weight in zip(self.reward_names, weights, strict=True)}
        return metrics | {f"{PREFIX}/snr_threshold": result.snr_threshold} | as_used

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
        """What method and conditions warn of, once each, in the first batches, which show what the rewards are."""
        if self._batches >= WINDOW:
            return []
        self._batches += 1
        found = self.setting.warnings(
            self.conditioned(rewards),
            group_ids,
            reward_weights=self._weights,
            reward_families=self.reward_families,
            reward_names=self.reward_names,
        )
        if self.reward_conditions is not None:
            found += self.reward_conditions.warnings(rewards, self.reward_names)
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
            reward_weights=self.weights_now if self.reward_weights is not None and self.reward_weights.move else None,
        )


def check_setting(setting: Setting, weights: RewardWeights | None, num_rewards: int) -> None:
    """Raise unless the method takes the weights, at every step, and its numbers per reward are as many as rewards.

    The core checks both; two rollouts without a score are enough to hear about them before the run.

    Raises:
        InvalidInputError: it does not (a ValueError).
        InvalidTypeError: something is no number (a TypeError).
    """
    no_score = torch.full((2, num_rewards), torch.nan)  # so that none can lie outside a bound
    groups, tokens = torch.tensor([0, 0]), torch.tensor([1, 1])
    for step in [1] if weights is None else weights.telling_steps:
        now = None if weights is None else weights.checked_at(step)
        setting.advantages(no_score, groups, reward_weights=now, token_counts=tokens)
