"""Scores of RLLA completions: correctness, format and think length as rewards, exactly right calls beside them."""

from gd2po.rewards.tool_calling.exact import exact_calls
from gd2po.rewards.tool_calling.judges import judge_a, judge_b
from gd2po.rewards.tool_calling.noisy_graders import noisy_grader_a, noisy_grader_b
from gd2po.rewards.tool_calling.quality import answer_quality
from gd2po.rewards.tool_calling.scores import think_length, tool_call_correctness, tool_call_format
from gd2po.rewards.tool_calling.text import parse_tool_calls

__all__ = [
    "answer_quality",
    "exact_calls",
    "judge_a",
    "judge_b",
    "noisy_grader_a",
    "noisy_grader_b",
    "parse_tool_calls",
    "think_length",
    "tool_call_correctness",
    "tool_call_format",
]
