"""The terminal view of worlds: the map, a sweep, and one world."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console
from world_runs import ONE, RUNS, TWO

from gd2po.worlds.analysis import WorldMap, map_of
from gd2po.worlds.views.terminal import print_comparison, print_map


def printed(world_map: WorldMap) -> list[str]:
    console = Console(file=io.StringIO(), width=120, no_color=True)
    print_comparison(world_map, console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_tables_of_a_map_show_differences_regrets_and_learning_rates() -> None:
    console = Console(file=io.StringIO(), width=120, no_color=True)
    print_map(map_of([ONE, TWO], RUNS, "gdpo"), console)
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert "Final score, difference to gdpo, 5 seeds (* beyond noise)" in lines
    assert "one +0.500 +0.100 ± 0.000 *" in lines
    assert any(line.startswith("two +0.500 −0.200 ± 0.0") and line.endswith("*") for line in lines)
    assert "one 0.100 * 0.000" in lines
    assert "largest 0.100 0.200" in lines
    assert "one 1 0.3 !" in lines


def test_a_comparison_starts_with_the_answer_and_says_what_lies_at_the_edge() -> None:
    lines = printed(map_of([ONE, TWO], RUNS, "gdpo"))
    assert lines[0] == "Of 2 worlds, hard is above gdpo in 1 and below in 1"
    assert any("2 learning rates lie at the edge of the grid" in line for line in lines)


def test_one_world_is_a_table_of_methods_with_the_grid_of_each() -> None:
    lines = printed(map_of([ONE], [run for run in RUNS if run.world == "one"], "gdpo"))
    assert lines[0] == "In one, hard is above gdpo"
    (row,) = (line for line in lines if line.startswith("hard 0.6"))
    assert "+0.100 ± 0.000 * +0.050 ± 0.000 * 0.000" in row
    assert row.endswith("[0.3: 0.600], 1: 0.200, 3: 0.200 edge")


def test_a_sweep_names_its_rows_by_the_values_of_the_knob() -> None:
    world_map = dataclasses.replace(map_of([ONE, TWO], RUNS, "gdpo"), knob="rare_gross.size", values=[3, -1])
    lines = printed(world_map)
    assert "rare_gross.size gdpo: gain hard" in lines
    assert "3 +0.500 +0.100 ± 0.000 *" in lines
    assert any(line.startswith("−1 +0.500 −0.200") for line in lines)
