"""TRL: `GD2POConfig`, every argument of `GRPOConfig` and how advantages come from several rewards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gd2po.core import AdvantageResult, Setting
from gd2po.core.setting import method_named
from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.integrations.trl.option_fields import OPTION_FIELDS, MethodOptions, given_options

try:
    from trl import GRPOConfig
except ImportError as error:
    raise MissingDependencyError(f"GD2POConfig needs TRL: pip install 'gd2po[trl]' ({error}).") from error


@dataclass
class GD2POConfig(MethodOptions, GRPOConfig):  # type: ignore[misc]
    """TRL's `GRPOConfig`, the method, and its options.

    Args:
        advantage_estimator: a name in `gd2po.METHODS`; "gd2po" by default.
        skip_zero_advantage: leave rollouts without advantage out of forward and backward. The gradient is the same.
        log_rollouts: write every rollout's rewards and advantage into `<output_dir>/rollouts`.

    Every option of every method is a field of the same name: `filtering`, `snr_threshold`, `whitening` ... Options that
    the chosen method does not have are ignored, so that one file serves several methods. `scale_rewards` is TRL's own.

    Raises:
        InvalidInputError: a value outside its range or choices (a ValueError).
        ConfigError: an unknown method, a setting of TRL's that would have no effect here, or a batch that holds no
            whole groups.
    """

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
        for name, option in OPTION_FIELDS.items():
            setattr(self, name, option.parsed(getattr(self, name)))
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
        self.setting()  # wrong options are heard of before the run

    def setting(self) -> Setting:
        """The method with those of the options that it has."""
        method = method_named(self.advantage_estimator, "`advantage_estimator`")
        options = given_options(method.name, vars(self))
        if "scale_rewards" in method.options:
            options["scale_rewards"] = self.scale_rewards == "group"
        return Setting.of({"method": method.name, **options}, "GD2POConfig")

    def advantages(
        self,
        rewards: Tensor,
        group_ids: Tensor,
        *,
        reward_weights: Tensor | None = None,
        token_counts: Tensor | None = None,
    ) -> AdvantageResult:
        """The advantages of a reward matrix (N, K) under this configuration; arguments as of every method."""
        return self.setting().advantages(rewards, group_ids, reward_weights=reward_weights, token_counts=token_counts)


def _options_in_words() -> str:
    """One line per option, for the docstring: static readers see the class, Python's help sees these too."""
    return "".join(f"        {name}: {option.help}\n" for name, option in OPTION_FIELDS.items())


def _document(config: Any) -> None:
    before, args, rest = (config.__doc__ or "").partition("    Args:\n")
    config.__doc__ = before + args + rest.replace("\n\n", f"\n{_options_in_words()}\n", 1)


_document(GD2POConfig)
