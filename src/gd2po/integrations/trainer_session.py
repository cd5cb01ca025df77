"""For engines whose trainer is a `Trainer` of transformers and names its reward functions itself: axolotl, ms-swift."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import ConfigError
from gd2po.integrations.components import HostSettings

logger = logging.getLogger(__name__)


class TrainerSession:
    """The session of a trainer's run, which puts metrics and advantages among the trainer's own logs.

    Args:
        trainer: with `reward_func_names`, `reward_weights`, `accelerator`, `state`, `model`, `_metrics` and `_logs`.
        section: the settings, without `reward_keys`: the rewards are the trainer's.
        where: what the section is called in the configuration, for messages.

    Raises:
        ConfigError: the settings are wrong, or weights are given in two places.
    """

    def __init__(self, trainer: Any, section: Any, where: str) -> None:
        self.trainer = trainer
        settings = _settings(section, trainer.reward_func_names, trainer.reward_weights.tolist(), where)
        settings.require_steps(trainer.args.max_steps if trainer.args.max_steps > 0 else None)
        if not trainer.accelerator.is_main_process:
            settings = replace(settings, log_folder=None)
        self.session = settings.session()

    @property
    def mode(self) -> str:
        """The key of the trainer's metrics."""
        return "train" if self.trainer.model.training else "eval"

    @property
    def group_size(self) -> int:
        """Rollouts of a prompt."""
        trainer = self.trainer
        return int(trainer.num_generations if self.mode == "train" else trainer.num_generations_eval)

    def advantages(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> AdvantageResult:
        """The advantages of N rollouts of all processes; arguments as of `Session.advantages`."""
        training = self.mode == "train"
        step = self.trainer.state.global_step
        self.session.start_step(step + 1 if training else max(step, 1))
        return self.session.advantages(rewards, group_ids, token_counts, training=training)

    def record(
        self,
        rewards: Tensor,
        group_ids: Tensor,
        result: AdvantageResult,
        token_counts: Tensor,
        *,
        prompts: Sequence[Any],
        completions: Sequence[Any],
    ) -> None:
        """Log a batch: metrics among the trainer's own and, in training, advice and the rollout log."""
        metrics = self.session.metrics(rewards, group_ids, result)
        for name, value in metrics.items():
            self.trainer._metrics[self.mode][name].append(value)
        if self.mode == "eval":
            return
        if self.trainer.accelerator.is_main_process:
            for advice in self.session.advice(metrics, rewards, group_ids, token_counts):
                logger.warning(advice)
        self.session.log(
            self.trainer.state.global_step + 1,
            rewards=rewards,
            group_ids=group_ids,
            result=result,
            token_counts=token_counts,
            prompts=prompts,
            completions=completions,
        )


def refuse(values: Mapping[str, Any], rules: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
    """Raise where a setting of the engine has another value than the ones that leave gd2po its place.

    Args:
        values: the engine's settings by name.
        rules: of each setting, the values that are right and why others are not.

    Raises:
        ConfigError: one has another value.

    Example:
        >>> refuse({"scale_rewards": "batch"}, {"scale_rewards": ((None, "group"), "has no effect here: leave it out")})
        Traceback (most recent call last):
        ...
        gd2po.errors.ConfigError: `scale_rewards` has no effect here: leave it out. It is 'batch'.
    """
    for name, (right, why) in rules.items():
        value = values.get(name)
        if value not in right:
            raise ConfigError(f"`{name}` {why}. It is {value!r}.")


def _settings(section: Any, names: Sequence[str], weights: Sequence[float], where: str) -> HostSettings:
    """The settings of rewards that the trainer has already named and may have weighted."""
    given = dict(section or {})
    if "reward_keys" in given:
        raise ConfigError(f"`{where}.reward_keys` is the engine's list of reward functions here: leave it out.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ConfigError(f"Two rewards are called {twice!r}: logs and reports would mix them up. Rename one.")
    if any(weight != 1 for weight in weights):
        if "reward_weights" in given:
            raise ConfigError(f"Give the weights once: as `{where}.reward_weights`, or in the engine's own setting.")
        given["reward_weights"] = list(weights)
    return HostSettings.from_mapping({"reward_keys": list(names), **given}, where)
