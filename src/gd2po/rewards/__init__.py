"""Reward functions with TRL's signature, and the checks that say whether one can be trained on."""

from gd2po.rewards.check.report import RewardFunctionReport, RewardFunctionWarning, check_reward_func
from gd2po.rewards.completions import completion_texts
from gd2po.rewards.models.reward_model import RewardModel
from gd2po.rewards.protocol import Completion, Message, RewardFunc
from gd2po.rewards.registry import (
    EVAL_FUNCS,
    REWARD_FUNCS,
    callable_name,
    configure,
    load_eval_func,
    load_reward_func,
)
from gd2po.rewards.scores import validate_scores
from gd2po.rewards.tool_calling.exact import exact_calls
from gd2po.rewards.tool_calling.judges import judge_a, judge_b
from gd2po.rewards.tool_calling.noisy_graders import noisy_grader_a, noisy_grader_b
from gd2po.rewards.tool_calling.quality import answer_quality
from gd2po.rewards.tool_calling.scores import think_length, tool_call_correctness, tool_call_format
from gd2po.rewards.tool_calling.text import parse_tool_calls

__all__ = [
    "EVAL_FUNCS",
    "REWARD_FUNCS",
    "Completion",
    "Message",
    "RewardFunc",
    "RewardFunctionReport",
    "RewardFunctionWarning",
    "RewardModel",
    "answer_quality",
    "callable_name",
    "check_reward_func",
    "completion_texts",
    "configure",
    "exact_calls",
    "judge_a",
    "judge_b",
    "load_eval_func",
    "load_reward_func",
    "noisy_grader_a",
    "noisy_grader_b",
    "parse_tool_calls",
    "think_length",
    "tool_call_correctness",
    "tool_call_format",
    "validate_scores",
]
