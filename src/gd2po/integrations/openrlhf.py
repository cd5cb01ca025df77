"""OpenRLHF: a launcher whose trainer makes its experience with gd2po's advantages.

`python -m gd2po.integrations.openrlhf gd2po.yaml ...` in the place of `python -m openrlhf.cli.train_ppo_ray ...`. The
rewards are what the reward function or agent returns as `extra_logs`; OpenRLHF keeps them by rollout in
`Experience.info`. OpenRLHF's trainer is a Ray actor that makes its `RemoteExperienceMaker` itself. The launcher's is a
subclass with one whose `compute_advantages_and_returns` replaces the advantages that OpenRLHF's has computed.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.integrations.components import HostSettings, matrix_of_columns, refuse, reward_means
from gd2po.recipes import read_settings

try:
    import ray
    from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
    from openrlhf.utils.logging_utils import init_logger
except ImportError as error:
    raise MissingDependencyError(f"This needs OpenRLHF: pip install 'gd2po[openrlhf]' ({error}).") from error

logger = init_logger(__name__)

TRAINERS = {"openrlhf.trainer.ppo_trainer": "PPOTrainer", "openrlhf.trainer.ppo_trainer_async": "TrainingActor"}
"""The Ray actors that train, by module: of the synchronous and of the asynchronous mode."""

_NO_SUM = "would change the sum of the rewards, and there is no sum: leave it out"
_RULES: dict[str, tuple[tuple[Any, ...], str]] = {
    "algo.advantage.estimator": (("group_norm",), "must be group_norm here: others whiten again or need a critic"),
    "reward.overlong_buffer_len": ((None,), _NO_SUM),
    "reward.stop_properly_penalty_coef": ((None,), _NO_SUM),
}


class ExperienceMaker(RemoteExperienceMaker):  # type: ignore[misc]
    """OpenRLHF's, with the advantages of `settings`, which is set before the first batch."""

    settings: HostSettings

    def prepare(self, section: Any) -> None:
        """Check the settings, and OpenRLHF's.

        Raises:
            ConfigError: the settings are wrong, or one of OpenRLHF's would undo what is computed here.
        """
        args = self.args
        refuse({name: attrgetter(name)(args) for name in _RULES}, _RULES)
        if args.algo.kl.init_coef and not args.algo.kl.use_loss:
            raise ConfigError(
                "`algo.kl.init_coef` takes a penalty off the sum of the rewards, and there is no sum: set it to 0, or "
                "turn algo.kl.use_loss on."
            )
        self.settings = HostSettings.from_mapping(section, "gd2po")
        self.session = self.settings.session()
        self.step = 0
        self.metrics: dict[str, float] = {}

    @torch.no_grad()
    def compute_advantages_and_returns(self, experiences: list[Any]) -> list[Any]:
        """Advantages of a batch, in OpenRLHF's order; its group deviations and returns for its logs are its own."""
        experiences = super().compute_advantages_and_returns(experiences)
        order = torch.tensor([index for one in experiences for index in one.index])
        names = [f"Rollout {index}" for index in order.tolist()]
        keys = self.settings.reward_keys
        rewards = matrix_of_columns([_column(experiences, key) for key in keys], names, keys)
        tokens = torch.cat([one.action_mask.sum(1) for one in experiences]).long().cpu()
        groups = order // self.args.rollout.n_samples_per_prompt
        self.session.start_step(self.step)
        result = self.session.advantages(rewards, groups, tokens)
        first = 0
        for one in experiences:
            mask, rows = one.action_mask, slice(first, first := first + len(one.index))
            one.advantages = result.loss_advantages[rows, None].to(mask.device, torch.float32) * mask
            one.returns = one.advantages.clone()
        self.metrics = self.session.metrics(rewards, groups, result)
        for advice in self.session.advice(self.metrics, rewards, groups, tokens):
            logger.warning(advice)
        self.metrics |= reward_means(rewards, self.session.reward_names)
        if self.session.log_folder is not None:
            prompts = [prompt for one in experiences for prompt in one.prompts]
            self.session.log(
                self.step,
                rewards=rewards,
                group_ids=groups,
                result=result,
                token_counts=tokens,
                prompts=prompts,
                completions=[text for one in experiences for text in self._completions(one)],
            )
        return experiences

    def _completions(self, experience: Any) -> list[str]:
        """The tokens of the actions, decoded."""
        tokens = experience.sequences[:, 1:]  # as the mask: what each position predicts
        rows = [row[mask.bool()] for row, mask in zip(tokens, experience.action_mask, strict=True)]
        return [self.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


def _column(experiences: Sequence[Any], key: str) -> list[float]:
    """A reward of all rollouts, as the reward function returned it in `extra_logs`."""
    for one in experiences:
        if key not in one.info:
            raise ConfigError(
                f"The rollouts have no reward {key!r}, they have: {', '.join(one.info)}. The reward function or agent "
                "must return it in `extra_logs` for every rollout."
            )
    return [float(value) for one in experiences for value in torch.as_tensor(one.info[key]).flatten()]


def with_advantages(trainer: Any, section: Any) -> Any:
    """A Ray actor class: that of OpenRLHF's trainer, whose experience has gd2po's advantages.

    Args:
        trainer: one of `TRAINERS`, a Ray actor class.
        section: the settings.
    """
    base: Any = trainer.__ray_metadata__.modified_class

    class Trainer(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.experience_maker.__class__ = ExperienceMaker
            self.experience_maker.prepare(section)

        def train_step(self, rollout_samples: Any, global_step: int) -> tuple[dict[str, Any], int]:
            self.experience_maker.step = global_step + 1
            status, step = super().train_step(rollout_samples, global_step)
            return {**status, **self.experience_maker.metrics}, step

    return ray.remote(Trainer)


def main(arguments: Sequence[str]) -> None:
    """Run OpenRLHF's command line with gd2po's trainers.

    Args:
        arguments: a YAML file with the section `gd2po`, then OpenRLHF's arguments.

    Raises:
        ConfigError: no file, or its settings are wrong.
    """
    if not arguments or not Path(arguments[0]).is_file():
        raise ConfigError(
            "The first argument must be a YAML file with the section `gd2po`. OpenRLHF's arguments follow it."
        )
    section = read_settings(arguments[0]).get("gd2po")
    HostSettings.from_mapping(section, "gd2po")  # wrong ones are heard of before Ray starts
    for module, name in TRAINERS.items():
        loaded = importlib.import_module(module)
        setattr(loaded, name, with_advantages(getattr(loaded, name), section))
    sys.argv = ["openrlhf.cli.train_ppo_ray", *arguments[1:]]
    runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
