"""What a user says about the columns of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gd2po.errors import InvalidInputError


@dataclass(frozen=True)
class ColumnChoices:
    """Columns that the user names. None leaves a part to the dialect or to a guess.

    Args:
        step: the column of the training step.
        group: the column that is equal for the rollouts of one group in a step.
        group_size: rollouts per group, in consecutive rows, where no column tells the groups apart; at least 1.
        rewards: the columns of the K rewards, with or without the prefix `reward/`.
        prompt: the column of the prompt.
        completion: the column of the completion.
        length: the column of the completion's tokens.

    Raises:
        InvalidInputError: `group_size` is below 1, or `rewards` is empty, one string, or names a reward twice.

    Example:
        >>> ColumnChoices(group="task", rewards=["correct", "brief"]).group
        'task'
    """

    step: str | None = None
    group: str | None = None
    group_size: int | None = None
    rewards: Sequence[str] | None = None
    prompt: str | None = None
    completion: str | None = None
    length: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no log can have."""
        if self.group_size is not None and self.group_size < 1:
            raise InvalidInputError(f"`group_size` must be at least 1: got {self.group_size}.")
        rewards = self.rewards
        if rewards is not None and (isinstance(rewards, str) or not rewards or len(set(rewards)) < len(rewards)):
            raise InvalidInputError(
                f"`rewards` needs a list of different columns, at least one: got {rewards!r}. Leave it out to let the "
                "columns be guessed."
            )
