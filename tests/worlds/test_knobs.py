"""One knob turned, everything else left."""

from __future__ import annotations

import dataclasses

import pytest

from gd2po.errors import ConfigError, InvalidInputError
from gd2po.worlds import WORLDS, BlindSpot, Flips, Gaussian, RareGross, Reward, World, knobs, turned
from gd2po.worlds.knobs import variants

WORLD = World(
    "w",
    (
        Reward("a", errors=(Gaussian(0.1), RareGross(1, 0.1))),
        Reward("b", errors=(Gaussian(0.2), BlindSpot(1, 0.1)), threshold=0.5, flips=Flips(0.1)),
    ),
)


def test_every_knob_of_a_world_is_named_with_its_values() -> None:
    known = knobs(WORLD)
    assert known["gaussian.scale"] == (0.1, 0.2)
    assert known["b.gaussian.scale"] == (0.2,)
    assert known["group_size"] == (8,)
    assert known["flips.rate"] == (0.1,)
    assert "a.threshold" not in known
    assert not any(name.endswith("fresh") for name in known)


@pytest.mark.parametrize("name", WORLDS)
def test_a_knob_turned_to_where_it_is_changes_the_name_alone(name: str) -> None:
    world = WORLDS[name]
    for knob, values in knobs(world).items():
        if len(set(values)) == 1:
            assert dataclasses.replace(turned(world, knob, values[0]), name=name) == world


def test_a_knob_of_an_error_model_turns_all_rewards_that_have_it_or_the_one_that_is_named() -> None:
    both, one = turned(WORLD, "gaussian.scale", 0.5), turned(WORLD, "b.gaussian.scale", 0.5)
    assert [reward.errors[0] for reward in both.rewards] == [Gaussian(0.5), Gaussian(0.5)]
    assert [reward.errors[0] for reward in one.rewards] == [Gaussian(0.1), Gaussian(0.5)]
    assert both.name == "w gaussian.scale=0.5"
    assert both.rewards[1].errors[1] == BlindSpot(1, 0.1)


def test_knobs_of_worlds_rewards_and_flips() -> None:
    assert turned(WORLD, "group_size", 16).group_size == 16
    assert [reward.copies for reward in turned(WORLD, "a.copies", 3).rewards] == [3, 1]
    assert turned(WORLD, "flips.rate", 0.3).rewards[1].flips == Flips(0.3)
    assert turned(WORLD, "prompts", 10).prompts_per_step == 10
    assert [world.steps for world in variants(WORLD, "steps", [3, 5])] == [3, 5]


def test_an_unknown_knob_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        turned(WORLD, "rare_gros.size", 1)
    assert "the world 'w' has no 'rare_gros.size'. Did you mean 'rare_gross.size'?" in str(caught.value)


def test_a_knob_refuses_what_its_field_does_not_take() -> None:
    with pytest.raises(InvalidInputError, match="`frequency` must be a number from 0 to 1: got 2"):
        turned(WORLD, "rare_gross.frequency", 2)
