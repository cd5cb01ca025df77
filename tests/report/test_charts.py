"""Curves with their intervals, for every page."""

from __future__ import annotations

from gd2po.report.charts import Curve, figure_of, plain_figures
from gd2po.report.intervals import Estimate

SURE = [Estimate(0.1, 0.0, 0.2), Estimate(0.3, 0.2, 0.4)]
UNSURE = [Estimate(0.1, None, None), Estimate(0.3, None, None)]


def test_bands_lie_below_every_line() -> None:
    curves = [Curve(name, [0, 5], SURE, ["a", "b"], colour, colour == 0) for colour, name in enumerate(("one", "two"))]
    data = plain_figures({"chart": figure_of(curves)})["chart"]["data"]
    assert [trace.get("fill") for trace in data] == ["toself", "toself", None, None]
    assert (data[0]["x"], data[0]["y"]) == ([0, 5, 5, 0], [0.2, 0.4, 0.2, 0.0])
    assert [trace["line"]["width"] for trace in data[2:]] == [2.5, 2]


def test_a_curve_without_intervals_has_no_band() -> None:
    (line,) = plain_figures({"chart": figure_of([Curve("one", [0, 5], UNSURE, ["a", "b"], 0)])})["chart"]["data"]
    assert line["y"] == [0.1, 0.3]
