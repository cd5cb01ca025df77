"""verl: `algorithm.adv_estimator=gd2po`, registered through verl's entry-point group `verl.plugins`.

verl hands the components of a reward to no estimator but its own gdpo. So the plug-in wraps the two places that know
both the components and the batch: `PPOTrainer._compute_advantage` (v1), where they lie in TransferQueue, and
`ray_trainer.compute_advantage` (legacy), where they lie in `non_tensor_batch`. Each leaves the reward matrix where the
registered estimator finds it; the dispatch between them stays verl's. A trainer's `__init__` is wrapped too: it checks
the configuration and starts the session, which lasts as long as the trainer. All of it is private, so the versions of
verl are pinned and contract tests hold what is relied on.

verl logs a plug-in that fails to load at DEBUG and continues. Therefore a failure leaves an estimator behind that
raises its cause, and `gd2po doctor` shows it.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import ConfigError, InvalidInputError, MissingDependencyError
from gd2po.integrations.components import HostSettings, number_groups, reward_means
from gd2po.integrations.session import Session
from gd2po.integrations.verl.batches import Rollouts, from_non_tensor_batch, from_transfer_queue
from gd2po.integrations.verl.group_filter import GroupFilter, asks_for_filter, check_filter

try:
    from packaging.specifiers import SpecifierSet
    from verl import __version__ as verl_version
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
except ImportError as error:
    raise MissingDependencyError(f"The verl plug-in needs verl: pip install 'gd2po[verl]' ({error}).") from error

NAME = "gd2po"
SUPPORTED_VERL = ">=0.9.1,<0.9.2"
METRICS_KEY = "gd2po/metrics"
"""Where the legacy trainer's batch carries our metrics, in its `meta_info`."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class HandedBatch:
    """What a trainer hands to the estimator."""

    session: Session
    rollouts: Rollouts
    trainer: Any
    """Where the session's log takes the step and the tokenizer from."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the estimator hands back for the trainer to log."""

    def start(self) -> None:
        """Tell the session which step the batch is for."""
        if self.trainer is not None:
            self.session.start_step(self.trainer.global_steps)

    def record(self, group_ids: Tensor, result: AdvantageResult, token_counts: Tensor) -> None:
        """Make the metrics of the batch, say what there is to say, and log the rollouts."""
        rewards, session = self.rollouts.rewards, self.session
        self.metrics.update(session.metrics(rewards, group_ids, result) | reward_means(rewards, session.reward_names))
        for advice in session.advice(self.metrics, rewards, group_ids, token_counts):
            logger.warning(advice)
        if session.log_folder is not None:
            tokenizer = self.trainer.tokenizer
            session.log(
                self.trainer.global_steps,
                rewards=rewards,
                group_ids=group_ids,
                result=result,
                token_counts=token_counts,
                prompts=tokenizer.batch_decode(self.rollouts.prompts, skip_special_tokens=True),
                completions=tokenizer.batch_decode(self.rollouts.completions, skip_special_tokens=True),
            )


_handed: ContextVar[HandedBatch | None] = ContextVar("gd2po_handed", default=None)
_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
"""One per trainer in this process, from when it is made: advice and the rollout log are about a whole run."""
_filters: WeakKeyDictionary[Any, GroupFilter] = WeakKeyDictionary()
"""By replay buffer, of the trainers that filter groups by the reward vector."""


def gd2po_estimator(
    token_level_rewards: Tensor, response_mask: Tensor, index: Any = None, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """Advantages and returns per token, in verl's signature of estimators.

    Args:
        token_level_rewards: (R, T) not used: the rewards are the components, not their sum.
        response_mask: (R, T) 1 where a token carries loss.
        index: (R,) the prompt of each row, verl's `uid`.
        **kwargs: what else verl passes.

    Returns:
        The advantages (R, T) twice, as verl's outcome estimators do. Rows of one session share their rollout's
        advantage; padding rows have 0.

    Raises:
        InvalidInputError: no trainer has handed over the components, or no group has two rollouts.
    """
    handed = _handed.get()
    if handed is None or index is None:
        raise InvalidInputError(
            "`adv_estimator=gd2po` got no reward components from this trainer. It works in verl's v1 trainers and in "
            "the legacy RayPPOTrainer; elsewhere call gd2po.gd2po_advantages yourself (docs/integrations.md)."
        )
    rollouts = handed.rollouts
    group_ids = number_groups(index[row] for row in rollouts.final_rows.tolist())
    if int(group_ids.bincount().max()) < 2:
        raise InvalidInputError(
            "`adv_estimator=gd2po` compares the rollouts of one prompt, and every `uid` of this batch has one: set "
            "actor_rollout_ref.rollout.n to 2 or more."
        )
    handed.start()
    token_counts = response_mask[rollouts.final_rows.to(response_mask.device)].sum(-1)
    result = handed.session.advantages(rollouts.rewards, group_ids, token_counts)
    handed.record(group_ids, result, token_counts)
    advantage = result.loss_advantages  # verl's policy losses are proportional to a positive factor of it
    per_row = torch.where(rollouts.rollout_of_row >= 0, advantage[rollouts.rollout_of_row], 0.0)
    advantages = per_row.to(response_mask.device, token_level_rewards.dtype)[:, None] * response_mask
    return advantages, advantages


def check_config(config: Any) -> HostSettings:
    """The settings in verl's `algorithm` section, and that nothing else there would be ignored.

    Args:
        config: verl's `algorithm` section.

    Raises:
        ConfigError: an unknown or missing key, or a setting of verl's that has no effect on this estimator.
    """
    if config is None:
        raise ConfigError("`adv_estimator=gd2po` needs the `algorithm` section: pass it as `config`.")
    if config.get("use_kl_in_reward", False):
        raise ConfigError(
            "`algorithm.use_kl_in_reward` changes the summed reward, which gd2po does not look at: set it to false, "
            "and actor_rollout_ref.actor.use_kl_loss to true for a KL penalty."
        )
    if not config.get("norm_adv_by_std_in_grpo", True):
        raise ConfigError(
            "`algorithm.norm_adv_by_std_in_grpo` has no effect on gd2po: leave it out and set "
            "+algorithm.gd2po.scale_rewards=false."
        )
    for key in ("gdpo_reward_keys", "gdpo_reward_weights"):
        if config.get(key) is not None:
            ours = key.removeprefix("gdpo_")
            raise ConfigError(f"`algorithm.{key}` belongs to verl's gdpo: set +algorithm.gd2po.{ours} instead.")
    return HostSettings.from_mapping(config.get(NAME), f"algorithm.{NAME}")


def _check_run(config: Any, *, legacy: bool) -> HostSettings:
    """Hear about mistakes when the trainer is made, and not after the first batch."""
    settings = check_config(config.algorithm)
    check_filter(config, legacy=legacy)
    rollouts = config.actor_rollout_ref.rollout.n
    if rollouts < 2:
        raise ConfigError(
            f"`actor_rollout_ref.rollout.n` must be at least 2 for gd2po, which compares the rollouts of one prompt: "
            f"got {rollouts}."
        )
    return settings


@contextmanager
def _handing(handed: HandedBatch) -> Iterator[None]:
    token = _handed.set(handed)
    try:
        yield
    finally:
        _handed.reset(token)


def _running(algorithm: Any) -> tuple[Any, Session]:
    """The trainer with this `algorithm` section, all that `compute_advantage` is told of it, and its session.

    A loop of one's own that calls `compute_advantage` has no trainer: its session is of this batch alone.
    """
    for trainer, session in _sessions.items():
        if trainer.config.algorithm is algorithm:
            return trainer, session
    settings = check_config(algorithm)
    if settings.log_folder is not None:
        raise ConfigError(
            f"`algorithm.{NAME}.log_folder` needs verl's RayPPOTrainer, or a class derived from it, to know the step: "
            "leave it out of a training loop of your own."
        )
    if settings.weights_move:
        raise ConfigError(
            f"`algorithm.{NAME}.reward_weights` that move over the steps need verl's RayPPOTrainer, or a class derived "
            "from it, to know the step: give numbers in a training loop of your own."
        )
    return None, settings.session()


def _wrap_legacy(ray_trainer: Any) -> None:
    original, original_metrics = ray_trainer.compute_advantage, ray_trainer.compute_data_metrics
    signature = inspect.signature(original)

    @functools.wraps(original)
    def compute_advantage(data: Any, adv_estimator: Any, *args: Any, **kwargs: Any) -> Any:
        if adv_estimator != NAME or _handed.get() is not None:  # a v1 trainer has handed over already
            return original(data, adv_estimator, *args, **kwargs)
        call = signature.bind(data, adv_estimator, *args, **kwargs)
        call.apply_defaults()
        trainer, session = _running(call.arguments["config"])
        rollouts = from_non_tensor_batch(
            data, session.reward_names, call.arguments["num_repeat"], with_tokens=session.log_folder is not None
        )
        handed = HandedBatch(session, rollouts, trainer)
        with _handing(handed):
            data = original(data, adv_estimator, *args, **kwargs)
        data.meta_info[METRICS_KEY] = handed.metrics
        return data

    @functools.wraps(original_metrics)
    def compute_data_metrics(batch: Any, *args: Any, **kwargs: Any) -> Any:
        return original_metrics(batch, *args, **kwargs) | batch.meta_info.pop(METRICS_KEY, {})

    ray_trainer.compute_advantage, ray_trainer.compute_data_metrics = compute_advantage, compute_data_metrics


def _wrap_v1(trainer: Any) -> None:
    original = trainer._compute_advantage

    @functools.wraps(original)
    def compute_advantage(self: Any, batch: Any, metrics: dict[str, Any]) -> Any:
        if self.config.algorithm.adv_estimator != NAME:
            return original(self, batch, metrics)
        session = _sessions[self]
        rollouts = from_transfer_queue(batch, session.reward_names, with_tokens=session.log_folder is not None)
        handed = HandedBatch(session, rollouts, self)
        with _handing(handed):
            batch = original(self, batch, metrics)
        metrics.update(handed.metrics)
        if self.replay_buffer in _filters:
            metrics.update(_filters[self.replay_buffer].metrics())
        return batch

    trainer._compute_advantage = compute_advantage


def _wrap_filter(replay_buffer: Any) -> None:
    original = replay_buffer._dapo_filtered_keys

    @functools.wraps(original)
    def dapo_filtered_keys(self: Any, partition_id: str) -> Any:
        ours = _filters.get(self)
        return original(self, partition_id) if ours is None else ours.filtered(self, partition_id)

    replay_buffer._dapo_filtered_keys = dapo_filtered_keys


def _wrap_init(trainer: Any, *, legacy: bool) -> None:
    original = trainer.__init__

    @functools.wraps(original)
    def init(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        settings = _check_run(config, legacy=legacy) if config.algorithm.adv_estimator == NAME else None
        original(self, config, *args, **kwargs)
        if settings is not None:
            settings.require_steps(getattr(self, "total_training_steps", None))
            _sessions[self] = settings.session()
            if asks_for_filter(config):
                _filters[self.replay_buffer] = GroupFilter(self, _sessions[self])

    trainer.__init__ = init


def _install() -> None:
    if not SpecifierSet(SUPPORTED_VERL).contains(verl_version, prereleases=True):
        raise MissingDependencyError(
            f"gd2po works with verl {SUPPORTED_VERL} and found {verl_version}: pip install 'verl{SUPPORTED_VERL}'."
        )
    from verl.trainer.ppo import ray_trainer

    _wrap_legacy(ray_trainer)
    _wrap_init(ray_trainer.RayPPOTrainer, legacy=True)
    ADV_ESTIMATOR_REGISTRY[NAME] = gd2po_estimator
    try:
        from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("verl"):
            raise
        return  # verl's own v1 trainer needs it too and says so; the legacy one works without
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    _wrap_v1(PPOTrainer)
    _wrap_filter(ReplayBuffer)
    _wrap_init(PPOTrainer, legacy=False)


try:
    _install()
except Exception as error:  # whatever it is, verl would only log it at DEBUG
    cause = error

    def _raise_cause(**kwargs: Any) -> Any:
        """An estimator that says why the plug-in did not load."""
        raise MissingDependencyError(f"The verl plug-in of gd2po could not be loaded: {cause}") from cause

    ADV_ESTIMATOR_REGISTRY[NAME] = _raise_cause
    raise
