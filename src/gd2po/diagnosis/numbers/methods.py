"""What each setting would do with the rollouts of the log: who is dropped, and whose voice the advantage is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, Setting
from gd2po.core.methods.grpo import GRPO, grpo_components
from gd2po.core.setting import all_labels
from gd2po.core.statistics import STATISTICS, TERMS, Signals, share
from gd2po.diagnosis.model import MethodNumbers
from gd2po.diagnosis.numbers.sample import Step
from gd2po.diagnosis.verdict.limits import WINDOW
from gd2po.errors import GD2POError

METHOD_STATISTICS = (
    "conflict_rate", "filtered_rate", "keep_ratio_mean", "cancelled_group_rate", "retained", "retained_negative",
    "alignment",
)  # fmt: skip
"""Statistics of the core in which settings differ."""

_TERMS = tuple(dict.fromkeys(term for name in METHOD_STATISTICS for term in STATISTICS[name].terms))


def compared_settings(run: Setting | None, has_families: bool = False) -> list[Setting]:
    """Every method and variant that needs nothing but rewards, each once, and the run's own setting.

    Args:
        run: None where it is not known.
        has_families: families are declared. Without them, a variant for families is no other than one without.
    """
    settings: dict[str, Setting] = {}
    for label, (method, _) in all_labels().items():
        if not method.needs:
            setting = Setting.named(label, "methods")
            if label != method.name and setting.uses_families and not has_families:
                continue
            settings.setdefault(setting.label, setting)
    if run is not None:
        settings.setdefault(run.label, run)
    return list(settings.values())


class SettingSums:
    """Running sums of one setting over training batches.

    Args:
        setting: whose advantages are taken.
        reward_weights: (K,)
        reward_families: (K,) None where none are declared.
    """

    def __init__(self, setting: Setting, reward_weights: Tensor, reward_families: Sequence[str] | None = None) -> None:
        self.setting, self._weights, self._families = setting, reward_weights, reward_families
        self._terms: dict[str, Tensor] = {}
        self._effective = torch.zeros(1, dtype=torch.float64)
        """Effective sample sizes of the steps, added up."""
        self._shares = torch.zeros(len(reward_weights), dtype=torch.float64)
        """(K,) shares of the advantage's variance, added up with the rollouts of the steps as weights."""
        self._shares_weight = torch.zeros(1, dtype=torch.float64)
        self._thresholds: list[float] = []
        self._warnings: dict[str, None] = {}
        self._heard = 0
        """Steps that the method was asked for its warnings on."""

    def add(self, step: Step, shared: dict[Any, Signals]) -> None:
        """Take a step in.

        Args:
            step: one batch.
            shared: signals of the step by how rewards are standardised, which settings have in common but for their
                results; missing ones are added.
        """
        weights = self._weights if step.weights is None else step.weights
        result = self.setting.advantages(
            step.rewards,
            step.group_ids,
            reward_weights=weights,
            reward_families=self._families,
            token_counts=step.token_counts,
        )
        options = self.setting.resolved
        by = options.get("standardisation", "zscore")
        # Who has a partner is the setting's own affair.
        standardised = options.get("scale_rewards", True), by, self.setting.label if by == "rank_partners" else None
        if standardised not in shared:
            shared[standardised] = Signals.of(step.rewards, step.group_ids, result, reward_weights=weights)
        signals = replace(shared[standardised], result=result)
        for name in _TERMS:
            term = TERMS[name](signals).sum(0)
            self._terms[name] = self._terms[name] + term if name in self._terms else term
        self._effective += effective_sample_size(result.loss_advantages.double())
        self._thresholds.append(result.snr_threshold)
        components = self._components(step, result, weights)
        if components is not None:
            kept = result.keep_mask
            shares = variance_shares(components[kept].double(), result.loss_advantages[kept].double())
            if not shares.isnan().any():
                rollouts = signals.present.sum()
                self._shares += rollouts * shares
                self._shares_weight += rollouts

    def numbers(self, names: Sequence[str], *, is_run: bool) -> MethodNumbers:
        """What a report shows of the setting, the rewards by name."""
        values = {name: STATISTICS[name].of(self._terms) for name in METHOD_STATISTICS}

        def one(value: Tensor) -> float | None:
            return None if bool(value.isnan()) else float(value)

        def by_reward(value: Tensor) -> dict[str, float | None]:
            return {name: one(entry) for name, entry in zip(names, value, strict=True)}

        options = self.setting.resolved
        automatic = (options.get("filtering"), options.get("snr_threshold")) == ("snr", "auto")
        thresholds = torch.tensor(self._thresholds, dtype=torch.float64)
        return MethodNumbers(
            name=self.setting.label,
            method=self.setting.method.name,
            conflict_rate=one(values["conflict_rate"]),
            filtered_rate=one(values["filtered_rate"]),
            keep_ratio_mean=one(values["keep_ratio_mean"]),
            cancelled_groups=one(values["cancelled_group_rate"]),
            retained=by_reward(values["retained"]),
            retained_negative=by_reward(values["retained_negative"]),
            alignment=by_reward(values["alignment"]),
            effective_sample_share=one(share(self._effective, self._terms["rollouts"])),
            variance_share=by_reward(share(self._shares, self._shares_weight)),
            auto_thresholds=(
                (float(thresholds.min()), float(thresholds.quantile(0.5)), float(thresholds.max()))
                if automatic
                else None
            ),
            is_run=is_run,
            warnings=list(self._warnings),
        )

    def hear(self, step: Step, names: Sequence[str]) -> None:
        """Ask the method for its warnings, on the first steps as a trainer does."""
        if self._heard < WINDOW:
            self._heard += 1
            weights = self._weights if step.weights is None else step.weights
            found = self.setting.warnings(
                step.rewards,
                step.group_ids,
                reward_weights=weights,
                # A row for families is there for whoever has declared some; other rows need not say that they do not.
                reward_families=self._families if self.setting.uses_families else None,
                reward_names=names,
            )
            self._warnings.update(dict.fromkeys(found))

    def _components(self, step: Step, result: AdvantageResult, weights: Tensor) -> Tensor | None:
        """(N, K) what each reward adds to the advantage before whitening; None where nobody knows."""
        if self.setting.method is not GRPO:
            return result.components
        scale = self.setting.resolved["scale_rewards"]
        return grpo_components(step.rewards, step.group_ids, reward_weights=weights, scale_rewards=scale)


def effective_sample_size(advantages: Tensor) -> float:
    """How many rollouts of equal pull an update amounts to: `(sum |A|)² / sum A²`; 0 where nothing pulls.

    Example:
        >>> effective_sample_size(torch.tensor([1.0, -1.0, 2.0, 0.0]))
        2.6666667461395264
    """
    squares = advantages.square().sum()
    return float(advantages.abs().sum().square() / squares) if squares > 0 else 0.0


def variance_shares(components: Tensor, advantages: Tensor) -> Tensor:
    """Share of the advantage's variance that comes from each reward: `cov(component, A)` over the sum of all.

    Args:
        components: (N, K) of the rollouts that are kept, before whitening.
        advantages: (N,)

    Returns:
        (K,) adding up to 1; an outvoted reward has a negative share. NaN where the advantages do not vary.

    Example:
        >>> components = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> variance_shares(components, components.sum(1))
        tensor([0.2000, 0.8000])
    """
    if not len(advantages):
        return components.new_full((components.shape[1],), torch.nan)
    covariances = (advantages - advantages.mean()) @ (components - components.mean(0))
    return share(covariances, covariances.sum())


@dataclass(frozen=True)
class Evaluated:
    """What every setting would do."""

    numbers: list[MethodNumbers]
    notes: list[str]
    """What could not be evaluated as asked, in sentences."""


def evaluate_settings(
    steps: Sequence[Step],
    names: Sequence[str],
    weights: Sequence[float],
    run: Setting | None,
    families: Sequence[str] | None = None,
) -> Evaluated:
    """Evaluate all methods and variants, and the run's own setting, on steps of the log.

    Args:
        steps: at least one.
        names: K names of rewards.
        weights: K weights, of the steps that have none of their own.
        run: the run's own setting, if known.
        families: K families of rewards, if known.
    """
    notes = []
    by_tokens = run is not None and run.resolved.get("whitening") == "tokens"
    if run is not None and by_tokens and any(step.token_counts is None for step in steps):
        run = Setting(run.method, MappingProxyType({**run.options, "whitening": "rollouts"}))
        notes.append(
            "The run whitens by tokens, and the log does not hold the length of every completion: here its method "
            "whitens by rollouts instead."
        )
    reward_weights = torch.tensor(weights, dtype=torch.float64)
    settings = compared_settings(run, families is not None)
    running = {setting.label: SettingSums(setting, reward_weights, families) for setting in settings}
    for step in steps:
        shared: dict[Any, Signals] = {}
        for label, sums in list(running.items()):
            try:
                sums.add(step, shared)
                sums.hear(step, names)
            except GD2POError as error:
                del running[label]
                notes.append(f"{label} is missing among the methods: {error}")
    own = None if run is None else run.label
    return Evaluated([sums.numbers(names, is_run=label == own) for label, sums in running.items()], notes)
