"""Can a reward function be trained on? It is called on hostile samples, and what it does wrong is named."""

from gd2po.rewards.check.report import RewardFunctionReport, RewardFunctionWarning, check_reward_func

__all__ = ["RewardFunctionReport", "RewardFunctionWarning", "check_reward_func"]
