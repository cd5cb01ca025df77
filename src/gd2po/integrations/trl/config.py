"""TRL: `GD2POConfig`, every argument of `GRPOConfig` and how advantages come from several rewards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.errors import ConfigError, MissingDependencyError

try:
    from trl import GRPOConfig
except ImportError as error:
    raise MissingDependencyError(f"GD2POConfig needs TRL: pip install 'gd2po[trl]' ({error}).") from error


@dataclass
class GD2POConfig(GRPOConfig):  # type: ignore[misc]
    """TRL's `GRPOConfig` and how advantages come from several rewards.

    Args:
        advantage_estimator: "gd2po", "gdpo" or "grpo".
        filtering: "snr" drops the conflicts whose agreement score is below `snr_threshold`, "hard" all of them, "none"
            nothing.
        snr_threshold: in [0, 1], or "auto" for the largest at which every reward keeps `min_retained` of its signal.
            The paper's scripts take 0.8; docs/results.md says why the default is lower.
        snr_eps: keeps the agreement score finite.
        min_retained: for "auto", in [0, 1].
        conflict_pairs: "all", or "correlated" to let only rewards conflict that normally agree.
        min_correlation: for "correlated", in [-1, 1].
        query_reweighting: scale each prompt by the share of its rollouts that was kept.
        whitening: "rollouts", "tokens" or "none". The paper's code whitens by tokens.
        skip_zero_advantage: leave rollouts without advantage out of forward and backward. The gradient is the same.
        log_rollouts: write every rollout's rewards and advantage into `<output_dir>/rollouts`.

    Raises:
        InvalidInputError: a value outside its range or choices (a ValueError).
        ConfigError: a setting of TRL's that would have no effect here, or a batch that holds no whole groups.
    """

    advantage_estimator: Literal["gd2po", "gdpo", "grpo"] = field(
        default="gd2po", metadata={"help": "How advantages come from the rewards: gd2po, gdpo or grpo."}
    )
    filtering: Literal["snr", "hard", "none"] = field(
        default="snr",
        metadata={"help": "Which conflicting rollouts gd2po drops: snr (below the threshold), hard (all) or none."},
    )
    # With `str` last, the command line hands over text, which __post_init__ converts, as TRL's pad_to_multiple_of does.
    snr_threshold: float | str | None = field(
        default=0.3, metadata={"help": "Agreement score below which a conflict is dropped, in [0, 1], or 'auto'."}
    )
    snr_eps: float = field(default=1e-8, metadata={"help": "Keeps the agreement score finite."})
    min_retained: float = field(
        default=0.8,
        metadata={"help": "For snr_threshold auto: share of its signal that every reward keeps, in [0, 1]."},
    )
    conflict_pairs: Literal["all", "correlated"] = field(
        default="all",
        metadata={"help": "Which pairs of rewards can conflict: all, or those that are correlated inside groups."},
    )
    min_correlation: float = field(
        default=0.0,
        metadata={"help": "For conflict_pairs correlated: correlation above which a pair counts, in [-1, 1]."},
    )
    query_reweighting: bool = field(
        default=True, metadata={"help": "Scale each prompt's update by the share of its rollouts that was kept."}
    )
    whitening: Literal["rollouts", "tokens", "none"] = field(
        default="rollouts",
        metadata={"help": "What counts once when advantages are whitened: rollouts or tokens; or none."},
    )
    skip_zero_advantage: bool = field(
        default=True,
        metadata={
            "help": "Leave rollouts whose advantage is exactly 0 out of the update, which costs less and has the same "
            "gradient."
        },
    )
    log_rollouts: bool = field(
        default=False,
        metadata={"help": "Write every rollout's rewards and advantage to <output_dir>/rollouts, a file per step."},
    )

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            if "must be divisible by num_generations" not in str(error):
                raise
            raise ConfigError(
                f"{error} A batch has to hold whole groups: make per_device_train_batch_size x processes x "
                "gradient_accumulation_steps (or steps_per_generation) a multiple of num_generations."
            ) from error
        if isinstance(self.snr_threshold, str) and self.snr_threshold != "auto":
            try:
                self.snr_threshold = float(self.snr_threshold)
            except ValueError as error:
                raise ConfigError(
                    f"`snr_threshold` must be a number in [0, 1] or 'auto': got {self.snr_threshold!r}."
                ) from error
        if self.snr_threshold is None:
            raise ConfigError("`snr_threshold` must be a number in [0, 1] or 'auto': got None. 0 drops nothing.")
        if self.advantage_estimator not in ("gd2po", "gdpo", "grpo"):
            raise ConfigError(
                f"`advantage_estimator` must be 'gd2po', 'gdpo' or 'grpo': got {self.advantage_estimator!r}."
            )
        if self.scale_rewards not in ("group", "none"):
            raise ConfigError(
                f"`scale_rewards` must be 'group' or 'none': got {self.scale_rewards!r}. The methods here compare a "
                "rollout with its group; whitening already brings the batch to one scale."
            )
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise ConfigError(
                "`multi_objective_aggregation` has no effect here: leave it out and set `advantage_estimator` to "
                "'grpo' (sum, then normalise) or 'gdpo' (normalise, then sum)."
            )
        # The core checks its own options; two rollouts are enough to hear about them before the run.
        self.advantages(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 0]), token_counts=torch.tensor([1, 1]))

    def advantages(
        self,
        rewards: Tensor,
        group_ids: Tensor,
        *,
        reward_weights: Tensor | None = None,
        token_counts: Tensor | None = None,
    ) -> AdvantageResult:
        """The advantages of a reward matrix (N, K) under this configuration; arguments as in `gd2po_advantages`."""
        scale_rewards = self.scale_rewards == "group"
        if self.advantage_estimator == "grpo":
            return grpo_advantages(rewards, group_ids, reward_weights=reward_weights, scale_rewards=scale_rewards)
        common: dict[str, Any] = {
            "reward_weights": reward_weights,
            "scale_rewards": scale_rewards,
            "whitening": self.whitening,
            "token_counts": token_counts,
        }
        if self.advantage_estimator == "gdpo":
            return gdpo_advantages(rewards, group_ids, **common)
        return gd2po_advantages(
            rewards,
            group_ids,
            filtering=self.filtering,
            snr_threshold=self.snr_threshold,  # type: ignore[arg-type]  # a float or "auto" after __post_init__
            snr_eps=self.snr_eps,
            min_retained=self.min_retained,
            conflict_pairs=self.conflict_pairs,
            min_correlation=self.min_correlation,
            query_reweighting=self.query_reweighting,
            **common,
        )
