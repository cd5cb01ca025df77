"""SkyRL: an entry point whose trainers have gd2po's advantages.

`trainer.override_entrypoint=gd2po.integrations.skyrl` with a section `gd2po` on the command line. The rewards are what
the environment's `get_metrics` returns: the generator hands it over as `env_metrics`, of which the trainer keeps those
of each trajectory's last step. The estimator `gd2po`, in SkyRL's own registry, gives SkyRL the advantages of the batch
that the trainer is at; SkyRL spreads them over the steps of a trajectory and their tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gd2po.errors import ConfigError, InvalidInputError, MissingDependencyError
from gd2po.integrations.components import HostSettings, matrix_of_samples, number_groups, refuse, reward_means

try:
    import ray
    from loguru import logger
    from skyrl.backends.skyrl_train.utils.ppo_utils import AdvantageEstimatorRegistry
    from skyrl.train.config import SkyRLTrainConfig
    from skyrl.train.entrypoints.main_base import BasePPOExp
    from skyrl.train.fully_async_trainer import FullyAsyncRayPPOTrainer
    from skyrl.train.trainer import RayPPOTrainer
    from skyrl.train.utils import validate_cfg
    from skyrl.train.utils.utils import initialize_ray
except ImportError as error:
    raise MissingDependencyError(f"This needs SkyRL: pip install 'gd2po[skyrl]' ({error}).") from error

ESTIMATOR = "gd2po"

_RULES: dict[str, tuple[tuple[Any, ...], str]] = {
    "advantage_estimator": ((ESTIMATOR,), f"must be {ESTIMATOR!r} with this entry point, whatever the method"),
    "use_kl_in_reward": ((False,), "takes a penalty off the sum of the rewards, and there is no sum: use use_kl_loss"),
    "zero_variance_filter": ((False,), "masks groups in which the sum of the rewards does not vary: set it to false"),
    "advantage_batch_normalize": ((False,), "shifts the advantages, so that rollouts with 0 get one: set it to false"),
    "dynamic_sampling.type": ((None,), "makes SkyRL drop `env_metrics`, where the rewards are: set it to null"),
}


@dataclass
class Config(SkyRLTrainConfig):  # type: ignore[misc]
    """SkyRL's configuration with the section `gd2po`."""

    gd2po: dict[str, Any] = field(default_factory=dict)


def checked(cfg: Any) -> HostSettings:
    """The settings of gd2po, and that nothing in SkyRL's undoes them.

    Raises:
        ConfigError: the settings are wrong, or one of SkyRL's would undo what is computed here.
    """
    algorithm = cfg.trainer.algorithm
    values = {name: getattr(algorithm, name) for name in _RULES if "." not in name}
    refuse({**values, "dynamic_sampling.type": algorithm.dynamic_sampling.type}, _RULES)
    return HostSettings.from_mapping(cfg.gd2po, "gd2po")


class _Advantages:
    """Keeps the rewards of a batch until SkyRL asks for its advantages."""

    def __init__(self, *args: Any, cfg: Any, **kwargs: Any) -> None:
        self._settings = checked(cfg)
        register()
        super().__init__(*args, cfg=cfg, **kwargs)  # type: ignore[call-arg]
        self._settings.require_steps(self.total_training_steps)  # type: ignore[attr-defined]
        self._gd2po = self._settings.session()

    def postprocess_generator_output(self, generator_output: Any, uids: list[str], *args: Any, **kwargs: Any) -> Any:
        last = generator_output.get("is_last_step") or [True] * len(uids)
        metrics = generator_output.get("env_metrics")
        if metrics is None:
            raise ConfigError(
                "The generator hands over no `env_metrics`, where the rewards are: set generator.batched to false."
            )
        rows = [row for row, is_last in enumerate(last) if is_last]
        names = [f"Trajectory {number} of prompt {uids[row]}" for number, row in enumerate(rows)]
        self._rewards = matrix_of_samples([metrics[row] for row in rows], names, self._settings.reward_keys)
        firsts = [0, *(row + 1 for row in rows[:-1])]  # the rows of a trajectory follow each other
        self._texts = [
            (generator_output["prompt_token_ids"][first], generator_output["response_ids"][row])
            for first, row in zip(firsts, rows, strict=True)
        ]
        return super().postprocess_generator_output(generator_output, uids, *args, **kwargs)  # type: ignore[misc]

    def compute_advantages_and_returns(self, data: Any) -> Any:
        rows = len(data["rewards"]) - data.metadata.get("pad_size", 0)
        last = torch.tensor(data.metadata.get("is_last_step") or [True] * rows)[:rows]
        rollout_of_row = last.long().cumsum(0) - last.long()
        rollouts = int(last.sum())
        if rollouts != len(self._rewards):
            raise InvalidInputError(
                f"SkyRL hands over {rollouts} trajectories, and the generator gave rewards of {len(self._rewards)}."
            )
        tokens = torch.zeros(rollouts, dtype=torch.long)
        tokens.index_add_(0, rollout_of_row, data["loss_mask"][:rows].sum(1).long().cpu())
        uids = data.metadata["uids"]
        group_ids = number_groups(uids[row] for row in last.nonzero()[:, 0].tolist())
        session, rewards, step = self._gd2po, self._rewards, self.global_step  # type: ignore[attr-defined]
        session.start_step(step)
        result = session.advantages(rewards, group_ids, tokens)
        padding = torch.zeros(len(data["rewards"]) - rows)  # SkyRL's copies of the first row, outside the loss
        _advantages.append(torch.cat([result.loss_advantages.float(), padding]))
        try:
            data = super().compute_advantages_and_returns(data)  # type: ignore[misc]
        finally:
            _advantages.clear()
        metrics = session.metrics(rewards, group_ids, result)
        self.all_metrics.update(metrics | reward_means(rewards, session.reward_names))  # type: ignore[attr-defined]
        for advice in session.advice(metrics, rewards, group_ids, tokens):
            logger.warning(advice)
        if session.log_folder is not None:
            prompts, completions = zip(*self._texts, strict=True)
            session.log(
                step,
                rewards=rewards,
                group_ids=group_ids,
                result=result,
                token_counts=tokens,
                prompts=self._decoded(prompts),
                completions=self._decoded(completions),
            )
        return data

    def _decoded(self, texts: Sequence[Any]) -> list[str]:
        return [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in texts]  # type: ignore[attr-defined]


class Trainer(_Advantages, RayPPOTrainer):  # type: ignore[misc]
    """SkyRL's trainer with gd2po's advantages."""


class AsyncTrainer(_Advantages, FullyAsyncRayPPOTrainer):  # type: ignore[misc]
    """SkyRL's fully asynchronous trainer with gd2po's advantages."""


class Experiment(BasePPOExp):  # type: ignore[misc]
    """A run of SkyRL with gd2po's advantages, asynchronous where `trainer.fully_async.enabled` says so."""

    def get_trainer(self, **kwargs: Any) -> Any:
        """The trainer; arguments are SkyRL's."""
        trainer = AsyncTrainer if kwargs["cfg"].trainer.fully_async.enabled else Trainer
        return trainer(**kwargs)


def main() -> None:
    """The entry point that `trainer.override_entrypoint` names."""
    named = "trainer.override_entrypoint="  # which SkyRL's configuration has no field for
    cfg = Config.from_cli_overrides([argument for argument in sys.argv[1:] if not argument.startswith(named)])
    checked(cfg)
    register()
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(ray.remote(num_cpus=1)(_run).remote(cfg))  # not on the head node, as SkyRL does


def _run(cfg: Any) -> None:
    Experiment(cfg).run()


_advantages: list[Tensor] = []
"""(rows,) of the batch that the trainer of this process is at; at most one entry."""


def estimator(token_level_rewards: Tensor, response_mask: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """The advantages of the batch that the trainer is at, for SkyRL's registry of estimators."""
    advantages = _advantages[0].to(response_mask.device)[:, None] * response_mask
    return advantages, advantages.clone()


def register() -> None:
    """Make `trainer.algorithm.advantage_estimator=gd2po` known to this process, and to others if Ray is running."""
    if ESTIMATOR not in AdvantageEstimatorRegistry.list_available():
        AdvantageEstimatorRegistry.register(ESTIMATOR, estimator)
