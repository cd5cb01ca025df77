"""TRL: `GD2POTrainer` where `GRPOTrainer` was.

TRL gathers the rewards of all processes in `_calculate_rewards` and computes the advantages inline in
`_generate_and_score_completions`. The trainer keeps the matrix that the first returns and replaces the advantages that
the second returned; everything else is TRL's. Both are private, so the versions of TRL are pinned and contract tests
hold what is relied on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from gd2po.core import AdvantageResult, diagnose_batch, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core.metrics import PREFIX, batch_metrics
from gd2po.errors import ConfigError, InvalidTypeError, MissingDependencyError
from gd2po.integrations.reward_guard import guarded

try:
    from accelerate.logging import get_logger
    from trl import GRPOConfig, GRPOTrainer

    from gd2po.integrations.rollout_log import RolloutLog
except ImportError as error:
    raise MissingDependencyError(f"GD2POTrainer needs TRL: pip install 'gd2po[trl]' ({error}).") from error

logger = get_logger(__name__)


@dataclass
class GD2POConfig(GRPOConfig):  # type: ignore[misc]
    """TRL's `GRPOConfig` and how advantages come from several rewards.

    Args:
        advantage_estimator: "gd2po", "gdpo" or "grpo".
        filtering: "snr" drops the conflicts whose agreement score is below `snr_threshold`, "hard" all of them, "none"
            nothing.
        snr_threshold: in [0, 1], or "auto" for the largest at which every reward keeps `min_retained` of its signal.
        snr_eps: keeps the agreement score finite.
        min_retained: for "auto", in [0, 1].
        conflict_pairs: "all", or "correlated" to let only rewards conflict that normally agree.
        min_correlation: for "correlated", in [-1, 1].
        query_reweighting: scale each prompt by the share of its rollouts that was kept.
        whitening: "rollouts", "tokens" or "none". The paper's code whitens by tokens.
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
        default=0.8, metadata={"help": "Agreement score below which a conflict is dropped, in [0, 1], or 'auto'."}
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


class GD2POTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's `GRPOTrainer` with the advantages of GD²PO, GDPO or GRPO.

    Every argument is TRL's; `args` is a `GD2POConfig`. Each step logs, beside TRL's metrics, what the method did to
    each reward under `conflict/...` (docs/metrics.md), and TRL's completions table shows these advantages.

    Raises:
        InvalidTypeError: `args` is a plain `GRPOConfig`.
        RewardFunctionError: during training, when a reward function raises or returns anything but one finite number
            or None per completion.

    Example:
        ```python
        from gd2po import GD2POConfig, GD2POTrainer

        trainer = GD2POTrainer(
            model="Qwen/Qwen2.5-1.5B-Instruct",
            reward_funcs=[correctness, brevity],
            args=GD2POConfig(output_dir="runs/mine", snr_threshold=0.5),
            train_dataset=dataset,
        )
        trainer.train()
        ```

    Source:
        GD²PO (arXiv:2606.16771), GDPO (arXiv:2601.05242), GRPO (arXiv:2402.03300).
    """

    _tag_names = ["trl", "grpo", "gd2po"]  # noqa: RUF012  # TRL declares it so
    _name = "GD2PO"

    def __init__(self, model: Any, reward_funcs: Any = None, args: GD2POConfig | None = None, **kwargs: Any) -> None:
        if args is None:
            args = GD2POConfig(output_dir="gd2po_output")
        if not isinstance(args, GD2POConfig):
            raise InvalidTypeError(
                f"`args` must be a GD2POConfig: got {type(args).__name__}. It takes every argument of GRPOConfig."
            )
        several = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
        checked = [guarded(func) if _is_function(func) else func for func in several]
        super().__init__(model, checked if reward_funcs is not None else None, args, **kwargs)
        duplicates = {name for name in self.reward_func_names if self.reward_func_names.count(name) > 1}
        if duplicates:
            raise ConfigError(
                f"Two reward functions are called {duplicates.pop()!r}: logs and reports would mix them up. Give each "
                "its own `__name__`."
            )
        self._gathered_rewards: Tensor | None = None
        self._rollout_log = RolloutLog(args.output_dir) if args.log_rollouts else None
        self._warned_no_signal = False

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        rewards: Tensor = super()._calculate_rewards(*args, **kwargs)
        self._gathered_rewards = rewards
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        rewards, self._gathered_rewards = self._gathered_rewards, None
        assert rewards is not None  # _calculate_rewards ran just now
        num_generations = self.num_generations if self.model.training else self.num_generations_eval
        group_ids = torch.arange(len(rewards), device=rewards.device) // num_generations
        token_counts = self.accelerator.gather(_loss_mask(output).sum(1))
        result = self.args.advantages(
            rewards, group_ids, reward_weights=self.reward_weights.to(rewards.device), token_counts=token_counts
        )
        first = self.accelerator.process_index * len(inputs)
        output["advantages"] = result.advantages[first : first + len(inputs)]
        self._record(rewards, group_ids, result, token_counts)
        return output

    def _record(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult, token_counts: Tensor) -> None:
        """Log the batch: metrics, TRL's completions table, and in training the rollout log."""
        mode = "train" if self.model.training else "eval"
        diagnostics = diagnose_batch(rewards, group_ids, result, reward_weights=self.reward_weights)
        metrics = batch_metrics(diagnostics, self.reward_func_names)
        metrics[f"{PREFIX}/snr_threshold"] = result.snr_threshold
        for name, value in metrics.items():
            self._metrics[mode][name].append(value)

        table = self._logs["advantages"]  # TRL has just put its own advantages at the end
        for _ in range(min(len(rewards), len(table))):
            table.pop()
        table.extend(result.advantages.tolist())

        if mode == "train" and metrics[f"{PREFIX}/zero_signal_group_rate"] == 1 and not self._warned_no_signal:
            self._warned_no_signal = True
            logger.warning(
                "No group of this batch has any signal: every reward gave the same score to all rollouts of each "
                "prompt, so this step changes nothing. If it stays so, sample with a higher temperature, use more "
                "rollouts per prompt, or rewards and prompts that tell rollouts apart. (Said once.)"
            )
        if mode == "train" and self._rollout_log is not None and self.accelerator.is_main_process:
            self._rollout_log.write(
                self.state.global_step + 1,
                reward_names=self.reward_func_names,
                group_ids=group_ids,
                prompts=list(self._logs["prompt"])[-len(rewards) :],
                completions=list(self._logs["completion"])[-len(rewards) :],
                rewards=rewards,
                result=result,
                token_counts=token_counts,
            )


def _is_function(reward_func: Any) -> bool:
    """Not a reward model, which TRL takes as a module or by name."""
    return callable(reward_func) and not isinstance(reward_func, torch.nn.Module)


def _loss_mask(output: dict[str, Any]) -> Tensor:
    """(B, T) the completion tokens that carry loss: tool results and masked truncated completions do not."""
    mask: Tensor = output["completion_mask"]
    return mask * output["tool_mask"] if "tool_mask" in output else mask
