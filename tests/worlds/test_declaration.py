"""What a world declares, and what it refuses."""

from __future__ import annotations

import pytest

from gd2po.errors import ConfigError, GD2POError
from gd2po.worlds import BlindSpot, Flips, Gaussian, Goal, Reward, Tilt, World


def test_copies_become_numbered_rewards_with_weights_and_families() -> None:
    world = World(
        "w",
        (
            Reward("grader", family="quality", copies=2, weight=0.5),
            Reward("judge", copies=2),
            Reward("brevity", weight=-1),
        ),
    )
    assert [reward.name for reward in world.all_rewards] == ["grader-1", "grader-2", "judge-1", "judge-2", "brevity"]
    assert world.families == ("quality", "quality", "judge-1", "judge-2", "brevity")
    assert world.reward_weights == (0.5, 0.5, 1.0, 1.0, -1)
    assert all(reward.copies == 1 for reward in world.all_rewards)


def test_a_reward_without_family_is_a_family_of_its_own() -> None:
    assert World("w", (Reward("a"), Reward("b"))).families == ("a", "b")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: World("w", ()), "`rewards` needs at least one: got none."),
        (lambda: World("", (Reward("a"),)), "`name` must be a text: got ''."),
        (lambda: World("w", (Reward("a"), Reward("a"))), "`rewards` needs different names: got 'a' more than once."),
        (lambda: World("w", (Reward("a-1"), Reward("a", copies=2))), "got 'a-1' more than once."),
        (lambda: World("w", (Reward("a"),), goals=(Goal("q"), Goal("q"))), "`goals` needs different names"),
        (lambda: World("w", (Reward("a"),), group_size=1), "`group_size` must be a whole number of at least 2: got 1."),
        (lambda: World("w", (Reward("a"),), steps=1.5), "`steps` must be a whole number of at least 1: got 1.5."),
        (lambda: World("w", (Reward("a"),), prompts=4), "`prompts_per_step` must be at most `prompts`, 4: got 48."),
        (lambda: World("w", (Reward("a"),), score={"q": 0}), "`score` needs a goal with a weight: got none."),
        (lambda: World("w", (Reward("a"),), learning_rates=(0.0,)), "`learning_rates` must be above 0: got 0.0."),
        (lambda: World("w", (Reward("a"),), policy="table"), "`policy` must be one of 'tabular', 'features'"),
        (lambda: World("w", (Reward("a"),), score_unit="z"), "`score_unit` must be one of 'raw', 'sd'"),
        (lambda: World("w", (Reward("a", errors=(Tilt(1, 1),)),)), "a tabular world has none. Set policy='features'."),
        (lambda: World("w", (Reward("a"),), goals=(Goal("q", "feature"),)), "a tabular world has none."),
        (
            lambda: World("w", (Reward("a", errors=(Tilt(1, 32),)),), policy="features"),
            "`feature` must be a whole number from 0 to 31: got 32.",
        ),
        (lambda: Reward("a", goals={"q": "much"}), "`goals.q` must be a number: got 'much'."),
        (lambda: Reward("a", missing=2), "`missing` must be a number from 0 to 1: got 2."),
        (lambda: Reward("a", copies=0), "`copies` must be a whole number of at least 1: got 0."),
        (lambda: Reward("a", flips=Flips(0.1)), "`flips` needs a binary reward: got no `threshold` for 'a'."),
        (lambda: Reward("a", errors=(Gaussian(1), Gaussian(2))), "`errors` takes one gaussian per reward: got 2."),
        (lambda: Goal("q", "cauchy"), "`source` must be one of 'uniform', 'normal', 'feature': got 'cauchy'."),
    ],
)
def test_impossible_worlds_are_refused(make: object, message: str) -> None:
    with pytest.raises(GD2POError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)


def test_several_blind_spots_may_be_in_one_reward() -> None:
    spots = (BlindSpot(1, 0.1, spot="length"), BlindSpot(1, 0.1, spot="praise"))
    assert len(Reward("a", errors=spots).errors) == 2


@pytest.mark.parametrize(
    ("goals", "reward", "score", "where"),
    [
        ((Goal("quality"),), Reward("a", {"qualty": 1}), {"quality": 1}, "reward 'a'"),
        ((Goal("quality"),), Reward("a", {"quality": 1}), {"qualty": 1}, "`score`"),
        ((Goal("quality"), Goal("b", parts={"qualty": 1})), Reward("a", {"quality": 1}), {"b": 1}, "goal 'b'"),
    ],
)
def test_an_unknown_goal_is_refused_with_the_nearest(
    goals: tuple[Goal, ...], reward: Reward, score: dict[str, float], where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        World("w", (reward,), goals=goals, score=score)
    assert str(caught.value) == f"{where} names a goal 'qualty', which is not declared before. Did you mean 'quality'?"
