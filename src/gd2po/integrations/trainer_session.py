"""The session of a run inside a `Trainer` of transformers: TRL's, and those of axolotl and ms-swift."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import ConfigError
from gd2po.integrations.components import HostSettings
from gd2po.integrations.session import Session

logger = logging.getLogger(__name__)


class HostedSession:
    """A session that takes step and mode from a trainer, and puts its metrics among the trainer's.

    Args:
        trainer: with `accelerator`, `state`, `model`, `num_generations`, `num_generations_eval` and `_metrics`.
        session: of its run.
    """

    def __init__(self, trainer: Any, session: Session) -> None:
        self.trainer = trainer
        self.session = session

    @property
    def training(self) -> bool:
        """Whether a batch is for an update, and not for evaluation."""
        return bool(self.trainer.model.training)

    @property
    def group_size(self) -> int:
        """Rollouts of a prompt."""
        return int(self.trainer.num_generations if self.training else self.trainer.num_generations_eval)

    def group_ids(self, rewards: Tensor) -> Tensor:
        """(N,) of N rollouts that come prompt by prompt."""
        return torch.arange(len(rewards), device=rewards.device) // self.group_size

    def rows_here(self, values: Tensor, rows: int) -> Tensor:
        """The rows of this process among those of all, or all where each process holds the whole batch."""
        first = 0 if rows == len(values) else self.trainer.accelerator.process_index * rows
        return values[first : first + rows]

    def start_step(self) -> list[float] | None:
        """The weights of the step that the next batch is for; in evaluation those of the last one."""
        step = self.trainer.state.global_step
        return self.session.start_step(step + 1 if self.training else max(step, 1))

    def advantages(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> AdvantageResult:
        """The advantages of N rollouts of all processes; arguments as of `Session.advantages`."""
        return self.session.advantages(rewards, group_ids, token_counts, training=self.training)

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
            self.trainer._metrics["train" if self.training else "eval"][name].append(value)
        if not self.training:
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


class TrainerSession(HostedSession):
    """The session of an engine whose trainer names its reward functions itself, from the engine's section of settings.

    Args:
        trainer: as of `HostedSession`, with `reward_func_names`, `reward_weights` and `args` too.
        section: the settings, without `reward_keys`: the rewards are the trainer's.
        where: what the section is called in the configuration, for messages.

    Raises:
        ConfigError: the settings are wrong, or weights are given in two places.
    """

    def __init__(self, trainer: Any, section: Any, where: str) -> None:
        settings = _settings(section, trainer.reward_func_names, trainer.reward_weights.tolist(), where)
        settings.require_steps(trainer.args.max_steps if trainer.args.max_steps > 0 else None)
        if not trainer.accelerator.is_main_process:
            settings = replace(settings, log_folder=None)
        super().__init__(trainer, settings.session())

    def advantages(self, rewards: Tensor, group_ids: Tensor, token_counts: Tensor) -> AdvantageResult:
        """As of `HostedSession`, with the weights of the step."""
        self.start_step()
        return super().advantages(rewards, group_ids, token_counts)


def show_in_table(logs: Mapping[str, Any], result: AdvantageResult) -> dict[str, list[Any]]:
    """Put the advantages of a batch into TRL's completions table, where the trainer has just put its own.

    Args:
        logs: the columns of the table, the trainer's `_logs`.
        result: of the batch.

    Returns:
        Prompts and completions of the batch, for `HostedSession.record`.
    """
    advantages, table = result.loss_advantages.tolist(), logs["advantages"]
    for _ in range(min(len(advantages), len(table))):
        table.pop()
    table.extend(advantages)
    return {f"{name}s": list(logs[name])[-len(advantages) :] for name in ("prompt", "completion")}


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
