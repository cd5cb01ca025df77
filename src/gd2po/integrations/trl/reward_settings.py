"""Weights and conditions of the rewards in TRL: checked before a model is loaded, and kept out of TRL's own sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

from gd2po.core.families import family_labels
from gd2po.integrations.session import check_setting
from gd2po.integrations.trl.config import GD2POConfig
from gd2po.rewards.registry import callable_name
from gd2po.runs.reward_weights import RewardWeights


class ScheduleGuard(TrainerCallback):  # type: ignore[misc]
    """Refuses a run that outlasts a schedule of its weights, once the data say how many steps it has.

    Args:
        weights: of the run.
    """

    def __init__(self, weights: RewardWeights) -> None:
        self.weights = weights

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the first step."""
        self.weights.require_steps(state.max_steps)


def check_rewards(args: GD2POConfig, reward_names: Sequence[str], num_funcs: int) -> None:
    """Raise unless method, weights, conditions and families go with the rewards.

    Args:
        args: of the run.
        reward_names: K names.
        num_funcs: reward functions among them, which come first and can have a weight; an environment's cannot.

    Raises:
        ConfigError: another number of weights, or a condition on or family of an unknown reward.
        InvalidInputError: weights or numbers per reward that the method does not take.
    """
    weights, conditions = args.weights(), args.conditions()
    if weights is not None:
        weights.in_order(reward_names[:num_funcs])
    if conditions is not None:
        conditions.check_names(reward_names)
    family_labels(args.reward_families, reward_names, "reward_families")
    check_setting(
        args.setting(), None if weights is None else weights.for_rewards(len(reward_names)), len(reward_names)
    )


def reward_name(reward_func: Any) -> str:
    """The name that TRL gives a reward: of a function, or of a reward model or its path."""
    if isinstance(reward_func, torch.nn.Module):
        config: Any = reward_func.config
        return str(config._name_or_path).split("/")[-1]
    return reward_func.split("/")[-1] if isinstance(reward_func, str) else callable_name(reward_func)


@contextmanager
def weights_as_numbers(args: GD2POConfig) -> Iterator[None]:
    """The weights of step 1 in the place of schedules, for TRL, which makes a tensor of them."""
    weights, settings = args.weights(), args.__dict__
    given = settings["reward_weights"]
    settings["reward_weights"] = None if weights is None else weights.at(1)
    try:
        yield
    finally:
        settings["reward_weights"] = given
