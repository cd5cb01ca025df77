"""The page on worlds, also in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world_runs import ONE, RUNS, TWO

from gd2po.core import Setting
from gd2po.worlds import WORLDS
from gd2po.worlds.analysis import WorldMap, map_of, sweep
from gd2po.worlds.views.charts import MOST_DRAWN
from gd2po.worlds.views.page import render_html, write_html, write_json

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


@pytest.fixture
def world_map() -> WorldMap:
    """Two worlds, one of whose names is markup."""
    one = dataclasses.replace(ONE, name=EVIL, title=EVIL)
    runs = [dataclasses.replace(run, world=EVIL) if run.world == "one" else run for run in RUNS]
    return map_of([one, TWO], runs, "gdpo")


def test_the_map_is_coloured_by_the_sign_and_deeper_with_the_share_of_the_gain(world_map: WorldMap) -> None:
    page = render_html(world_map)
    cells = re.findall(r"var\(--(positive|negative)\) (\d+)%, transparent\)\"><b>([+−]\d\.\d+)", page)
    # A fifth and two fifths of what the baseline gains; half would be the full colour.
    assert cells == [("positive", "24", "+0.100"), ("negative", "48", "−0.200")]


def test_the_choice_of_the_learning_rate_is_shown_with_its_grid(world_map: WorldMap) -> None:
    page = render_html(world_map)
    assert "0.3: 0.100, [1: 0.500], 3: 0.260" in page
    assert "[0.3: 0.600], 1: 0.200, 3: 0.200 edge" in page
    assert "2 learning rates lie at the edge of the grid" in page


def test_markup_in_names_is_escaped(world_map: WorldMap) -> None:
    assert EVIL not in render_html(world_map)


def test_a_map_of_many_worlds_draws_no_curves() -> None:
    worlds = [dataclasses.replace(ONE, name=f"w{number}") for number in range(MOST_DRAWN + 1)]
    runs = [dataclasses.replace(run, world=world.name) for world in worlds for run in RUNS if run.world == "one"]
    assert 'id="steps-0"' not in render_html(map_of(worlds, runs, "gdpo"))
    assert 'id="steps-0"' in render_html(map_of(worlds[:-1], runs, "gdpo"))


def test_the_json_holds_the_curves(world_map: WorldMap, tmp_path: Path) -> None:
    document = json.loads(write_json(world_map, tmp_path / "compare.json").read_text(encoding="utf-8"))
    method = document["worlds"][0]["methods"][0]
    assert [point["value"] for point in method["score_curve"]] == pytest.approx([0, 0.25, 0.5])
    assert [point["value"] for point in method["kl_curve"]] == pytest.approx([0, 0.25, 0.5])
    assert document["worlds"][0]["steps"] == [0, 60, 120]


def test_the_page_of_a_map_draws_without_errors_requests_or_sideways_scrolling(
    open_page: Callable[..., tuple[Any, list[str], list[str]]], world_map: WorldMap, tmp_path: Path
) -> None:
    file = write_html(world_map, tmp_path / "compare.html")
    for width, scheme in ((1400, "light"), (390, "dark")):
        page, complaints, requests = open_page(file, width, scheme)
        assert complaints == []
        assert requests == [file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("#worlds svg.main-svg").count() >= 4
        assert page.locator("#kl-0 .scatterlayer .trace").count() == 2
        colour = page.eval_on_selector("#map td[style]", "cell => getComputedStyle(cell).backgroundColor")
        assert colour not in ("", "rgba(0, 0, 0, 0)")
        assert page.title() != "taken"
        assert page.locator("main img").count() == 0


def test_the_page_of_a_sweep_draws_a_line_per_method(
    open_page: Callable[..., tuple[Any, list[str], list[str]]], tmp_path: Path
) -> None:
    world = dataclasses.replace(WORLDS["spiky3"], prompts=6, prompts_per_step=6, steps=6)
    settings = [Setting.named(label, "test") for label in ("gdpo", "grpo", "gd2po-hard")]
    world_map = sweep(world, "rare_gross.size", [0, 1, 3], settings, range(5), [3.0])
    page, complaints, _ = open_page(write_html(world_map, tmp_path / "compare.html"), 1200, "light")
    assert complaints == []
    # Two lines and their bands.
    assert page.locator("#sweep .scatterlayer .trace").count() == 4
