"""The names by which columns are known."""

from __future__ import annotations

import pytest

from gd2po.logs.names import TOTAL_NAMES, is_marked_reward, plain_name, reward_name


@pytest.mark.parametrize("name", ["Global Step", "global-step", " global_step ", "GLOBAL_STEP"])
def test_case_and_separators_make_no_difference(name: str) -> None:
    assert plain_name(name) == "global_step"


@pytest.mark.parametrize("name", ["reward/x", "rewards/x", "reward_x", "reward.x", "x_reward", "x/rewards", "Reward-X"])
def test_a_name_can_mark_a_reward(name: str) -> None:
    assert is_marked_reward(name)


@pytest.mark.parametrize("name", [*TOTAL_NAMES, "Total Reward", "x", "rewarding", "reward/", "unrewarded"])
def test_a_total_and_any_other_name_mark_none(name: str) -> None:
    assert not is_marked_reward(name)


def test_only_the_prefix_of_a_reward_is_dropped() -> None:
    assert [reward_name(name) for name in ("reward/a/b", "rewards/reward/x", "reward_x")] == [
        "a/b",
        "reward/x",
        "reward_x",
    ]
