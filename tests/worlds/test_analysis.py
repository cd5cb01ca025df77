"""From runs to a map: the arithmetic, on runs made by hand."""

from __future__ import annotations

import dataclasses
import json

import pytest
from world_runs import ONE, RUNS, SEEDS, TWO

from gd2po.core import Setting
from gd2po.errors import ConfigError, InvalidInputError
from gd2po.report.documents import to_document
from gd2po.worlds import WORLDS
from gd2po.worlds.analysis import SCHEMA, SCHEMA_VERSION, MethodInWorld, compare_worlds, map_of, sweep


@pytest.fixture
def methods() -> dict[tuple[str, str], MethodInWorld]:
    world_map = map_of([ONE, TWO], RUNS, "gdpo")
    return {(world.name, method.label): method for world in world_map.worlds for method in world.methods}


def test_each_method_is_taken_at_its_best_learning_rate(methods: dict[tuple[str, str], MethodInWorld]) -> None:
    gdpo, hard = methods["one", "gdpo"], methods["one", "hard"]
    assert (gdpo.learning_rate, hard.learning_rate) == (1.0, 0.3)
    assert gdpo.final_by_learning_rate == pytest.approx({"0.3": 0.1, "1": 0.5, "3": 0.26})
    assert (gdpo.at_edge, hard.at_edge, methods["two", "hard"].at_edge) == (False, True, True)
    assert not methods["two", "gdpo"].at_edge  # it was tried at one alone


def test_differences_are_paired_by_seed(methods: dict[tuple[str, str], MethodInWorld]) -> None:
    hard = methods["one", "hard"]
    assert methods["one", "gdpo"].difference is None
    assert methods["one", "gdpo"].seed_differences == {}
    assert hard.difference is not None
    assert hard.difference.value == pytest.approx(0.1)
    # Every seed has gained 0.1: the spread of the scores themselves does not matter.
    assert (hard.difference.low, hard.difference.high) == pytest.approx((0.1, 0.1))
    assert hard.difference.beyond_noise
    assert hard.seed_differences == pytest.approx(dict.fromkeys(SEEDS, 0.1))
    assert hard.area_difference is not None
    assert hard.area_difference.value == pytest.approx(0.05)


def test_regret_is_what_is_lost_to_the_best_method_of_the_world(
    methods: dict[tuple[str, str], MethodInWorld],
) -> None:
    assert methods["one", "hard"].regret.value == 0
    assert methods["one", "gdpo"].regret.value == pytest.approx(0.1)
    assert methods["two", "gdpo"].regret.value == 0
    assert methods["two", "hard"].regret.value == pytest.approx(0.2)
    world_map = map_of([ONE, TWO], RUNS, "gdpo")
    assert world_map.largest_regret == pytest.approx({"gdpo": 0.1, "hard": 0.2})
    assert [world.best for world in world_map.worlds] == ["hard", "gdpo"]


def test_the_proxy_is_the_weighted_sum_of_the_rewards(methods: dict[tuple[str, str], MethodInWorld]) -> None:
    assert methods["one", "gdpo"].proxy_gain.value == pytest.approx(2 * 1 - 3)
    assert methods["two", "gdpo"].proxy_gain.value == pytest.approx(1 + 3)
    assert methods["one", "gdpo"].gain.value == pytest.approx(0.5)


SMALL = dataclasses.replace(WORLDS["spiky3"], prompts=8, prompts_per_step=8, steps=10)
SETTINGS = [Setting.named(label, "test") for label in ("gdpo", "gd2po-hard")]


def test_worlds_are_compared_from_declaration_to_document() -> None:
    world_map = compare_worlds([SMALL], SETTINGS, range(5), [1.0, 3.0])
    document = json.loads(to_document(SCHEMA, SCHEMA_VERSION, world_map))
    assert document["schema"] == "gd2po-worlds"
    assert document["seeds"] == [0, 1, 2, 3, 4]
    assert document["worlds"][0]["families"] == ["quality", "quality"]
    assert list(document["worlds"][0]["methods"][1]["final_by_learning_rate"]) == ["1", "3"]


def test_a_sweep_has_a_world_per_value_with_the_same_truth() -> None:
    world_map = sweep(SMALL, "rare_gross.size", [0, 3], SETTINGS, [0, 1], [1.0])
    assert [world.name for world in world_map.worlds] == ["spiky3 rare_gross.size=0", "spiky3 rare_gross.size=3"]
    starts = [world.methods[0].final.value - world.methods[0].gain.value for world in world_map.worlds]
    assert starts[0] == pytest.approx(starts[1])
    assert world_map.worlds[0].methods[0].gain.value > world_map.worlds[1].methods[0].gain.value


def test_an_unknown_baseline_or_knob_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="got 'gdop'. Did you mean 'gdpo'?"):
        compare_worlds([SMALL], SETTINGS, [0], baseline="gdop")
    with pytest.raises(ConfigError, match="Did you mean 'rare_gross.size'?"):
        sweep(SMALL, "rare_gross.sise", [1], SETTINGS, [0])
