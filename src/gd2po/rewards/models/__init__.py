"""Reward models: sequence classifiers with one output, called like a reward function."""

from gd2po.rewards.models.reward_model import RewardModel

__all__ = ["RewardModel"]
