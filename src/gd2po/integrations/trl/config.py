"""TRL: `GD2POConfig`, every argument of `GRPOConfig` and how advantages come from several rewards."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from gd2po.core import AdvantageResult, Setting
from gd2po.core.setting import method_named
from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.integrations.trl.bounds import require_meant
from gd2po.integrations.trl.option_fields import OPTION_FIELDS, MethodOptions, chosen_method, given_options
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights
from gd2po.runs.spellings import CONDITIONS_HELP, FAMILIES_HELP, WEIGHTS_HELP, families_by_name

try:
    from trl import GRPOConfig
except ImportError as error:
    raise MissingDependencyError(f"GD2POConfig needs TRL: pip install 'gd2po[trl]' ({error}).") from error

_CHOICES = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
}
"""Words that TRL looks at only in its first step."""


@dataclass
class GD2POConfig(MethodOptions, GRPOConfig):  # type: ignore[misc]
    """TRL's `GRPOConfig`, the method, and its options.

    Args:
        advantage_estimator: a name in `gd2po.METHODS`. By default "consensus", which is gdpo where no families are
            declared, or "gd2po" where an option that consensus lacks is set to another value.
        reward_weights: of each reward a number, a schedule such as `LinearSchedule(0.0, 1.0, steps=100)`, its mapping
            `{"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 100}`, or a function from step to weight: a list
            in order, or a mapping by name of the reward, where those left out are 1.
        reward_conditions: rewards that count only where another one is high enough: a list of mappings such as
            `{"reward": "length", "on": "correctness", "threshold": 1.0}`.
        reward_families: family by name of the reward, such as {"judge_a": "correct", "judge_b": "correct"}. A reward
            not named is a family of its own.
        skip_zero_advantage: leave rollouts without advantage out of forward and backward. The gradient is the same.
        micro_batches_by_length: deal the rollouts of an update into micro-batches by length, so that less of them is
            padding. The gradient is the same.
        dynamic_sampling: replace groups without signal under the method by groups of other prompts, DAPO's dynamic
            sampling on several rewards.
        max_num_gen_batches: for it: how often to generate for one batch at most, the first time included.
        gradient_coordination: "pcgrad" or "mgda" combine one gradient per reward instead of taking their sum.
        log_rollouts: write every rollout's rewards and advantage into `<output_dir>/rollouts`.
        hub_rollouts: upload prompts and completions too when the output folder is pushed to the hub: `rollouts`, TRL's
            `completions`, and the report.
        reward_timeout: seconds after which a reward function that has not returned is named in a warning; training
            waits for it all the same. None for never.

    Every option of every method is a field of the same name: `filtering`, `snr_threshold`, `whitening` ... Options that
    the chosen method does not have are ignored, so that one file serves several methods. `scale_rewards` is TRL's own.

    Raises:
        InvalidInputError: a value outside its range or choices (a ValueError).
        ConfigError: a number that nobody can mean, an unknown method, a setting of TRL's that would have no effect
            here, a batch that holds no whole groups, weights or conditions that make no sense, or a schedule that ends
            before the run.
    """

    reward_weights: list[str] | None = field(  # text on the command line; numbers, schedules and functions once parsed
        default=None,
        metadata={
            "help": f"{WEIGHTS_HELP}. A weight is a number, a schedule over the steps as JSON, e.g. "
            '{"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 100} (constant, linear, cosine, step), or the '
            "import path of a function from step to weight."
        },
    )
    reward_conditions: list[dict[str, Any]] | str | None = field(
        default=None,
        metadata={
            "help": f'{CONDITIONS_HELP}. Elsewhere it is "otherwise" (0), or does not apply at all with "subset": true.'
        },
    )
    reward_families: dict[str, str] | str | None = field(
        default=None,
        metadata={"help": f"{FAMILIES_HELP}. gd2po uses them with conflict_pairs=families, consensus always."},
    )
    skip_zero_advantage: bool = field(
        default=True,
        metadata={
            "help": "Leave rollouts whose advantage is exactly 0 out of the update, which costs less and has the same "
            "gradient."
        },
    )
    micro_batches_by_length: bool = field(
        default=False,
        metadata={
            "help": "Deal the rollouts of an update into micro-batches by length, which costs less padding and has the "
            "same gradient. For gradient_accumulation_steps above 1."
        },
    )
    dynamic_sampling: bool = field(
        default=False,
        metadata={
            "help": "Replace groups without signal under the method by groups of other prompts, until the batch is "
            "full of groups with one (DAPO)."
        },
    )
    max_num_gen_batches: int = field(
        default=10,
        metadata={
            "help": "For dynamic_sampling: how often to generate for one batch at most, the first time included. After "
            "that the run trains on what there is."
        },
    )
    gradient_coordination: Literal["none", "pcgrad", "mgda"] = field(
        default="none",
        metadata={
            "help": "Take one gradient per reward, a backward pass each, and combine them: pcgrad takes away what "
            "conflicts, mgda takes the least combination; none is the gradient of the sum."
        },
    )
    log_rollouts: bool = field(
        default=False,
        metadata={"help": "Write every rollout's rewards and advantage to <output_dir>/rollouts."},
    )
    hub_rollouts: bool = field(
        default=False,
        metadata={
            "help": "Let push_to_hub upload prompts and completions too: rollout log, TRL's completions, report."
        },
    )
    reward_timeout: float | None = field(
        default=600.0,
        metadata={
            "help": "Seconds after which a reward function that has not returned is named in a warning. Training waits "
            "for it all the same. Above 0."
        },
    )

    def __post_init__(self) -> None:
        require_meant(vars(self))
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
        self.advantage_estimator = chosen_method(vars(self))
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
        most = self.max_num_gen_batches
        if self.dynamic_sampling and (isinstance(most, bool) or not isinstance(most, int) or most < 2):
            raise ConfigError(
                "`max_num_gen_batches` must be a whole number of at least 2 with `dynamic_sampling`, since the first "
                f"is the batch itself: got {most!r}."
            )
        if self.gradient_coordination not in ("none", "pcgrad", "mgda"):
            raise ConfigError(
                f"`gradient_coordination` must be 'none', 'pcgrad' or 'mgda': got {self.gradient_coordination!r}."
            )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"`{name}` must be one of {', '.join(known)}: got {getattr(self, name)!r}.")
        self.setting()  # wrong options are heard of before the run
        self._parse_rewards()

    def _parse_rewards(self) -> None:
        """Weights, conditions and families out of what was given; all that can be wrong without the rewards' names."""
        if self.reward_weights is not None:
            weights = RewardWeights.of(self.reward_weights)
            self.__dict__["reward_weights"] = weights.given
            if self.max_steps > 0:
                weights.require_steps(self.max_steps)
        if self.reward_conditions is not None:
            self.reward_conditions = RewardConditions.of(self.reward_conditions).plain() or None
        if self.reward_families is not None:
            self.reward_families = families_by_name(self.reward_families)

    def with_weights_in_order(self, reward_names: Sequence[str]) -> GD2POConfig:
        """The same configuration with weights by name as a list for these rewards; itself where they are one already.

        Raises:
            ConfigError: a weight of an unknown reward (a ValueError).
        """
        weights = self.weights()
        if weights is None or weights.reward_names is None:
            return self
        ordered = copy.copy(self)
        ordered.__dict__["reward_weights"] = weights.in_order(reward_names).given
        return ordered

    def weights(self) -> RewardWeights | None:
        """The weights of the rewards; None for all 1."""
        return None if self.reward_weights is None else RewardWeights.of(self.reward_weights)

    def conditions(self) -> RewardConditions | None:
        """The conditions on the rewards; None if all count everywhere."""
        return None if self.reward_conditions is None else RewardConditions.of(self.reward_conditions)

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON holds them, for trackers of experiments."""
        return {**super().to_dict(), "reward_weights": self.plain_weights()}

    def __getstate__(self) -> dict[str, Any]:
        # TRL saves its arguments with every checkpoint, and not every function can be pickled.
        return {**vars(self), "reward_weights": self.plain_weights()}

    def plain_weights(self) -> list[Any] | dict[str, Any] | None:
        """The weights of the rewards as JSON and YAML hold them."""
        weights = self.weights()
        return None if weights is None else weights.plain()

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
        reward_families: Sequence[str] | None = None,
        token_counts: Tensor | None = None,
    ) -> AdvantageResult:
        """The advantages of a reward matrix (N, K) under this configuration; arguments as of every method."""
        return self.setting().advantages(
            rewards,
            group_ids,
            reward_weights=reward_weights,
            reward_families=reward_families,
            token_counts=token_counts,
        )


def _options_in_words() -> str:
    """One line per option, for the docstring: static readers see the class, Python's help sees these too."""
    return "".join(f"        {name}: {option.help}\n" for name, option in OPTION_FIELDS.items())


def _document(config: Any) -> None:
    before, args, rest = (config.__doc__ or "").partition("    Args:\n")
    config.__doc__ = before + args + rest.replace("\n\n", f"\n{_options_in_words()}\n", 1)


_document(GD2POConfig)
