"""The names by which columns are known, whatever wrote the table."""

from __future__ import annotations

import re
import unicodedata

STEP_NAMES = ("step", "global_step", "global_steps", "training_step", "train_step", "iteration", "iter", "update")
GROUP_NAMES = (
    "group", "group_id", "group_ids", "prompt_id", "query_id", "question_id", "problem_id", "task_id", "example_id",
    "uid", "qid", "gid",
)  # fmt: skip
SURE_GROUP_NAMES = ("group", "group_id", "group_ids", "gid")
"""Columns that name the group even where every value is unique."""

PROMPT_NAMES = ("prompt", "input", "query", "question", "instruction", "problem")
COMPLETION_NAMES = ("completion", "output", "response", "answer", "generation", "text")
LENGTH_NAMES = (
    "completion_tokens", "completion_length", "response_length", "num_tokens", "token_count", "tokens", "length", "len",
)  # fmt: skip
LENGTH_WORDS = ("token", "length")
"""Words that make any other name a candidate for the completion's length."""

TOTAL_NAMES = ("reward", "rewards", "score", "total", "total_reward", "reward_total", "sum", "return")
"""Columns that usually hold the sum of the others."""

NEVER_REWARDS = {
    "advantage", "advantages", "kept", "keep", "conflict", "snr", "keep_ratio", "index", "idx", "id", "row", "epoch",
    "seed", "rank", "worker", "sample", "sample_id", "rollout", "rollout_id", "rollout_index", "generation_id",
    "timestamp", "time", "date", "temperature", "top_p", "kl", "logprob", "loss", "lr", "learning_rate", "num_turns",
    "prompt_tokens", "prompt_length", "ground_truth", "data_source", "pred", "target", "answer", "label", "solution",
    "reference",
}  # fmt: skip

REWARD_PREFIX = "reward/"
"""Marks the columns of the rewards in the rollout log, and in any table that follows it."""

WEIGHT_PREFIX = "weight/"
"""Marks the columns of the weights that the rewards had at each step, in rollout logs of runs whose weights move."""

REWARD_PREFIXES = (REWARD_PREFIX, "rewards/")
"""Prefixes that are not part of a reward's name."""

_MARKED = re.compile(r"^(rewards?[/_.:-].+|.+[/_.:-]rewards?)$", re.IGNORECASE | re.DOTALL)


_CONTROL = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and separators of lines and paragraphs."""


def name_problem(name: str) -> str | None:
    r"""What keeps a name from being that of a reward, in words; None if nothing does.

    Example:
        >>> name_problem("brief"), name_problem("  "), name_problem("be\nbrief")
        (None, 'is empty', 'holds a line break or another control character')
    """
    if not name.strip():
        return "is empty"
    if any(unicodedata.category(letter) in _CONTROL for letter in name):
        return "holds a line break or another control character"
    return None


def plain_name(name: str) -> str:
    """A column's name in lower case, its words joined by underscores.

    Example:
        >>> plain_name("Prompt ID")
        'prompt_id'
    """
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


def is_marked_reward(name: str) -> bool:
    """True where the name itself says that the column is one reward, not their total.

    Example:
        >>> is_marked_reward("reward/brief"), is_marked_reward("format_reward"), is_marked_reward("total_reward")
        (True, True, False)
    """
    return bool(_MARKED.match(name)) and plain_name(name) not in TOTAL_NAMES and not name.startswith(WEIGHT_PREFIX)


def reward_name(column: str) -> str:
    """What people call the reward in a column: the column without its prefix.

    Example:
        >>> reward_name("reward/brief"), reward_name("format_reward")
        ('brief', 'format_reward')
    """
    return next((column.removeprefix(prefix) for prefix in REWARD_PREFIXES if column.startswith(prefix)), column)
