"""Scores of RLLA completions: correctness, format and think length as rewards, exactly right calls beside them."""

from gd2po.rewards.tool_calling.exact import exact_calls
from gd2po.rewards.tool_calling.noisy_graders import noisy_grader_a, noisy_grader_b
from gd2po.rewards.tool_calling.scores import think_length, tool_call_correctness, tool_call_format
from gd2po.rewards.tool_calling.text import parse_tool_calls

__all__ = [
    "exact_calls",
    "noisy_grader_a",
    "noisy_grader_b",
    "parse_tool_calls",
    "think_length",
    "tool_call_correctness",
    "tool_call_format",
]
