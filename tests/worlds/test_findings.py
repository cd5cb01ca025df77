"""What is said of a map, a sweep and a single world."""

from __future__ import annotations

import dataclasses

import pytest
from world_runs import ONE, RUNS, TWO, run

from gd2po.worlds import WorldRun
from gd2po.worlds.analysis import WorldMap, map_of
from gd2po.worlds.findings import findings_of, headline_of


def titles(world_map: WorldMap) -> list[str]:
    return [finding.title for finding in findings_of(world_map)]


def swept(*lifts: float) -> WorldMap:
    """A sweep in which a method is above the baseline by these amounts, in every seed."""
    worlds = [dataclasses.replace(ONE, name=f"w{place}") for place in range(len(lifts))]
    runs: list[WorldRun] = []
    for world, lift in zip(worlds, lifts, strict=True):
        runs += [run(world.name, "gdpo", 1.0, [0.5] * 5), run(world.name, "hard", 1.0, [0.5 + lift] * 5)]
    return dataclasses.replace(map_of(worlds, runs, "gdpo"), knob="size", values=list(range(len(lifts))))


@pytest.mark.parametrize(
    ("lifts", "title"),
    [
        ((0.0, 0.1, 0.2), "hard pays from size 1 on"),
        ((0.1, 0.1), "hard pays at every value of size"),
        ((0.0, 0.1, 0.0), "hard pays at size 1"),
        ((0.0, -0.1), "hard never pays"),
        ((0.0, 0.0), "hard never differs from gdpo beyond noise"),
    ],
)
def test_a_sweep_says_where_a_method_starts_to_pay(lifts: tuple[float, ...], title: str) -> None:
    assert titles(swept(*lifts))[0] == title


def test_a_map_counts_the_worlds_above_and_below() -> None:
    world_map = map_of([ONE, TWO], RUNS, "gdpo")
    assert headline_of(world_map) == "Of 2 worlds, hard is above gdpo in 1 and below in 1"
    first = findings_of(world_map)[0]
    assert (first.level, first.title) == ("watch", "hard is above gdpo in 1 world and below gdpo in 1 world")
    assert first.text.startswith("Above in one +0.100 ± 0.000. Below in two −0.200")


def test_a_choice_at_the_edge_of_the_grid_is_said() -> None:
    (edge,) = (finding for finding in findings_of(map_of([ONE, TWO], RUNS, "gdpo")) if "edge" in finding.title)
    assert "hard in one (0.3) and hard in two (1)" in edge.text


def test_how_many_differences_would_look_real_by_chance_is_said() -> None:
    assert "2 differences were looked at" in titles(map_of([ONE, TWO], RUNS, "gdpo"))


def test_few_seeds_settle_nothing() -> None:
    runs = [run("one", "gdpo", 1.0, [0.5] * 5), run("one", "hard", 1.0, [0.9] * 5)]
    few = [
        dataclasses.replace(one, seeds=[0, 1], score=one.score[:2], kl_curve=one.kl_curve[:2],
                            rewards_before=one.rewards_before[:2], rewards_after=one.rewards_after[:2])
        for one in runs
    ]  # fmt: skip
    assert headline_of(map_of([ONE], few, "gdpo")) == "Too few seeds to tell the methods apart: it takes 5"
    assert headline_of(map_of([ONE], runs, "gdpo")) == "In one, hard is above gdpo"


def test_no_difference_is_said_as_such() -> None:
    assert headline_of(swept(0.0, 0.0)) == "No method differs from gdpo beyond noise"
