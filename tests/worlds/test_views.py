"""The terminal view of a map."""

from __future__ import annotations

import io

from rich.console import Console
from world_runs import ONE, RUNS, TWO

from gd2po.comparison.statistics import Estimate
from gd2po.worlds.analysis import map_of
from gd2po.worlds.views import BAD, GOOD, SAME, difference, print_map


def test_the_tables_show_differences_regrets_and_learning_rates() -> None:
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


def test_only_differences_beyond_noise_are_coloured() -> None:
    assert difference(Estimate(0.2, 0.1, 0.3, 5)).style == GOOD
    assert difference(Estimate(-0.2, -0.3, -0.1, 5)).style == BAD
    assert difference(Estimate(0.2, -0.1, 0.5, 5)).style == SAME
    assert difference(Estimate(0.2, 0.1, 0.3, 3)).style == SAME  # too few seeds to be believed
    assert difference(Estimate(0.2, None, None, 1)).plain == "+0.200"
