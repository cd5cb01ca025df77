"""slime: one function for its advantages, one for its logs.

`--custom-reward-post-process-path gd2po.integrations.slime.post_process_rewards`: slime hands over all samples of a
rollout step and uses what comes back as advantages, with the estimators that spread one value over a sample's tokens.

`--custom-rollout-log-function-path gd2po.integrations.slime.log_rollout`: metrics, advice and the rollout log. slime
calls it before the other, in the same process, and it alone is told the number of the step.

The settings are the mapping `gd2po` in the YAML file of `--custom-config-path`, whose keys slime sets on its `args`.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import ConfigError, InvalidInputError
from gd2po.integrations.components import HostSettings, matrix_of_samples, number_groups, reward_means
from gd2po.integrations.session import Session

ESTIMATORS = ("grpo", "gspo", "cispo")
"""slime's estimators whose advantage of a token is the reward of its sample."""

logger = logging.getLogger(__name__)


def post_process_rewards(args: Any, samples: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Raw rewards and advantages of slime's samples.

    Args:
        args: slime's arguments, with `gd2po`: a mapping of `reward_keys`, and if wanted `reward_weights`,
            `reward_conditions`, `reward_families`, `method`, options of the method, and `log_folder`.
        samples: S samples of whole groups. `sample.reward` is a mapping from component to score, None where one does
            not apply. Samples with the same `rollout_id` are parts of one rollout: they carry the same components,
            count once, and share its advantage.

    Returns:
        S raw rewards, for slime's logs: component `args.reward_key`, or without it the weighted sum of the components
        that apply. S advantages.

    Raises:
        ConfigError: the settings of gd2po are wrong or incomplete, or slime's undo or replace what is computed here.
        InvalidInputError: a group is not whole, or samples of one rollout carry different rewards.
        RewardFunctionError: a sample lacks a component, or a score is not a finite number.

    Source: slime, "Reward Post-Processing" in its customization guide.
    """
    run = _run(_settings(args))
    batch = _batch(args, samples, run, counts=not run.has_counted)
    advantages = batch.result.loss_advantages[batch.rollout_of_sample]
    raw = _raw_rewards(args, samples, batch)
    run.session.start_step(None)  # `log_rollout` says which one comes next
    run.has_counted = False
    return raw, advantages.tolist()


def log_rollout(
    rollout_id: int,
    args: Any,
    samples: Sequence[Any],
    rollout_extra_metrics: MutableMapping[str, Any] | None,
    rollout_time: float,
) -> bool:
    """Log a rollout step: metrics, advice, and if `log_folder` is set the rollouts. For slime to call.

    Args:
        rollout_id: number of the step, from 0; in the rollout log it is step `rollout_id + 1`.
        args: as in `post_process_rewards`.
        samples: as in `post_process_rewards`.
        rollout_extra_metrics: what else slime logs of this step. The metrics of docs/metrics.md join it, so that
            slime's own log carries them; where slime has None, they go to the logger of this module.
        rollout_time: not used.

    Returns:
        False: slime's own log follows.

    Raises:
        RunFolderError: `log_folder` holds the log of another run, and this one starts from the beginning.
        ConfigError, InvalidInputError, RewardFunctionError: as `post_process_rewards` does.

    Source: slime, "Logging Functions" in its customization guide.
    """
    run = _run(_settings(args))
    session = run.session
    session.start_step(rollout_id + 1)
    batch = _batch(args, samples, run, counts=True)
    run.has_counted = True
    metrics = _metrics(batch)
    if rollout_extra_metrics is None:
        logger.info(f"rollout {rollout_id}: {metrics}")
    else:
        rollout_extra_metrics.update(metrics)
    for advice in session.advice(metrics, batch.rewards, batch.group_ids, batch.token_counts):
        logger.warning(advice)
    if session.log_folder is not None:
        parts = [[samples[row] for row in rows] for rows in batch.samples_of_rollouts]
        session.log(
            rollout_id + 1,
            rewards=batch.rewards,
            group_ids=batch.group_ids,
            result=batch.result,
            token_counts=batch.token_counts,
            prompts=[first.prompt for first, *_ in parts],
            completions=["\n".join(part.response for part in rollout) for rollout in parts],
        )
    return False


def conflict_metrics(args: Any, samples: Sequence[Any]) -> dict[str, float]:
    """The metrics of a step (docs/metrics.md), for a logging function of your own that does not call `log_rollout`.

    Args:
        args: as in `post_process_rewards`.
        samples: as in `post_process_rewards`.
    """
    return _metrics(_batch(args, samples, _run(_settings(args)), counts=False))


@dataclass(frozen=True, eq=False)
class _Batch:
    """S samples as N rollouts with K rewards."""

    session: Session
    rewards: Tensor
    """(N, K)"""
    group_ids: Tensor
    """(N,)"""
    token_counts: Tensor
    """(N,)"""
    rollout_of_sample: Tensor
    """(S,)"""
    result: AdvantageResult

    @property
    def samples_of_rollouts(self) -> list[list[int]]:
        """Of each rollout, its samples."""
        rollouts: list[list[int]] = [[] for _ in self.rewards]
        for sample, rollout in enumerate(self.rollout_of_sample.tolist()):
            rollouts[rollout].append(sample)
        return rollouts


@dataclass(eq=False)
class _Run:
    """The run in this process: advice and the rollout log are about all of it."""

    settings: HostSettings
    session: Session
    has_counted: bool = False
    """Of the step that slime is at: `log_rollout` has counted its batch among those of the run."""


_running: _Run | None = None


def _run(settings: HostSettings) -> _Run:
    """The run with these settings; slime has one process for all steps of a run."""
    global _running
    if _running is None or _running.settings != settings:
        _running = _Run(settings, settings.session())
    return _running


def _metrics(batch: _Batch) -> dict[str, float]:
    metrics = batch.session.metrics(batch.rewards, batch.group_ids, batch.result)
    return metrics | reward_means(batch.rewards, batch.session.reward_names)


def _batch(args: Any, samples: Sequence[Any], run: _Run, *, counts: bool) -> _Batch:
    if not samples or isinstance(samples[0], Sequence):
        raise InvalidInputError(
            f"`samples` must be a flat list of slime's samples: got {'a nested list' if samples else 'none'}."
        )
    names = [f"Sample {sample.index} of group {sample.group_index}" for sample in samples]
    for sample, name in zip(samples, names, strict=True):
        if sample.group_index is None:
            raise InvalidInputError(f"{name} has no `group_index`: it tells which rollouts share a prompt.")
    rewards = matrix_of_samples([sample.reward for sample in samples], names, run.settings.reward_keys)
    rollout_of_sample = number_groups(_rollout(sample, row) for row, sample in enumerate(samples))
    first = [int((rollout_of_sample == rollout).nonzero()[0]) for rollout in range(int(rollout_of_sample.max()) + 1)]
    _check_parts(rewards, rollout_of_sample, first, names)

    group_ids = number_groups(samples[row].group_index for row in first)
    _check_groups(args, group_ids, [samples[row].group_index for row in first])
    tokens = torch.tensor([_tokens(sample) for sample in samples])
    token_counts = torch.zeros(len(first), dtype=torch.int64).index_add(0, rollout_of_sample, tokens)
    result = run.session.advantages(rewards[first], group_ids, token_counts, training=counts)
    return _Batch(run.session, rewards[first], group_ids, token_counts, rollout_of_sample, result)


def _settings(args: Any) -> HostSettings:
    """The settings of gd2po, and that nothing in slime's undoes them."""
    if args.advantage_estimator not in ESTIMATORS:
        raise ConfigError(
            f"`--advantage-estimator` must be one of {', '.join(ESTIMATORS)}, which use what this function returns as "
            f"advantages: got {args.advantage_estimator!r}."
        )
    if args.normalize_advantages:
        raise ConfigError(
            "`--normalize-advantages` would whiten the advantages again, dropped rollouts included: leave it out and "
            "choose `whitening` in the section `gd2po`."
        )
    if args.n_samples_per_prompt < 2:
        raise ConfigError(
            "`--n-samples-per-prompt` must be at least 2 for gd2po, which compares the rollouts of one prompt: got "
            f"{args.n_samples_per_prompt}."
        )
    settings = HostSettings.from_mapping(getattr(args, "gd2po", None), "gd2po")
    if settings.log_folder is not None and getattr(args, "custom_rollout_log_function_path", None) is None:
        raise ConfigError(
            "`gd2po.log_folder` is written to by gd2po.integrations.slime.log_rollout, which slime does not call: set "
            "`--custom-rollout-log-function-path` to it, or to a function of yours that calls it."
        )
    if settings.weights_move and getattr(args, "custom_rollout_log_function_path", None) is None:
        raise ConfigError(
            "`gd2po.reward_weights` that move over the steps need to know the step, which slime tells "
            "gd2po.integrations.slime.log_rollout alone: set `--custom-rollout-log-function-path` to it, or to a "
            "function of yours that calls it."
        )
    settings.require_steps(getattr(args, "num_rollout", None))
    return settings


def _rollout(sample: Any, row: int) -> tuple[Any, Any]:
    """What is equal for the parts of one rollout: as in slime, `rollout_id`, or without it the sample's own index."""
    rollout = getattr(sample, "rollout_id", None)
    if rollout is None:
        rollout = sample.index
    return sample.group_index, ("row", row) if rollout is None else rollout


def _tokens(sample: Any) -> int:
    """Tokens of a sample that carry loss."""
    if getattr(sample, "remove_sample", False):  # slime empties its mask afterwards
        return 0
    return int(sample.response_length if sample.loss_mask is None else sum(sample.loss_mask))


def _check_parts(rewards: Tensor, rollout_of_sample: Tensor, first: list[int], names: list[str]) -> None:
    """Raise where parts of one rollout carry different rewards."""
    expected = rewards[first][rollout_of_sample]
    differs = ((rewards != expected) & ~(rewards.isnan() & expected.isnan())).any(1)
    if bool(differs.any()):
        row = int(differs.nonzero()[0])
        raise InvalidInputError(
            f"{names[row]} and {names[first[int(rollout_of_sample[row])]]} are parts of one rollout and carry "
            "different rewards. Give every part the rewards of the whole rollout, not a share of them."
        )


def _check_groups(args: Any, group_ids: Tensor, indices: list[Any]) -> None:
    """Raise where rollouts of a group are missing."""
    sizes = group_ids.bincount()
    if int(sizes.min()) < args.n_samples_per_prompt:
        group = indices[group_ids.tolist().index(int(sizes.argmin()))]
        raise InvalidInputError(
            f"Group {group} has {int(sizes.min())} of its {args.n_samples_per_prompt} rollouts in this batch. A group "
            "must not be spread over several batches or cut: make --rollout-batch-size x --n-samples-per-prompt a "
            "multiple of --global-batch-size, and let a custom rollout keep failed samples, with `remove_sample` set."
        )


def _raw_rewards(args: Any, samples: Sequence[Any], batch: _Batch) -> list[float]:
    """One number per sample, for slime's logs."""
    key = getattr(args, "reward_key", None)
    if key:
        names = [f"Sample {sample.index} of group {sample.group_index}" for sample in samples]
        raw: list[float] = matrix_of_samples([sample.reward for sample in samples], names, [key])[:, 0].tolist()
        return raw
    weights = torch.tensor(batch.session.weights_now, dtype=torch.float64)
    per_rollout: list[float] = (batch.rewards * weights).nansum(1)[batch.rollout_of_sample].tolist()
    return per_rollout
