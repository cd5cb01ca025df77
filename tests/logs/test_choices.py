"""What a user may say about columns."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.diagnosis import ColumnChoices
from gd2po.errors import InvalidInputError


@pytest.mark.parametrize("size", [0, -8])
def test_a_group_holds_at_least_one_rollout(size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"`group_size` must be at least 1: got {size}"):
        ColumnChoices(group_size=size)
    assert ColumnChoices(group_size=1).group_size == 1


@pytest.mark.parametrize("rewards", [[], "", "ab", ["a", "b", "a"]])
def test_rewards_are_a_list_of_different_columns(rewards: Any) -> None:
    with pytest.raises(InvalidInputError, match="`rewards` needs a list of different columns, at least one: got"):
        ColumnChoices(rewards=rewards)
