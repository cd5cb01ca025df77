"""The learning curves, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go

from gd2po.comparison.model import Comparison, CurvePoint
from gd2po.comparison.views.wording import score_with_interval
from gd2po.report.charts import base_layout, plain_text, reward_colour, short


def all_charts(comparison: Comparison) -> dict[str, Any]:
    """The figures of the page by the id of the element that they go into: one for each score."""
    charts = {}
    for index, metric in enumerate(comparison.metrics):
        share = metric in comparison.shares
        figure = go.Figure(layout=base_layout(height=320))
        # Bands first, so that they lie below all lines.
        for colour, method in enumerate(comparison.methods):
            band = [point for point in method.curves[metric] if point.score.low is not None]
            if len(band) > 1:
                figure.add_scatter(**_band(band), meta={"colour": reward_colour(colour)})
        for colour, method in enumerate(comparison.methods):
            points = method.curves[metric]
            figure.add_scatter(
                x=[point.step for point in points],
                y=[short(point.score.value) for point in points],
                mode="lines",
                line={"width": 2.5 if method.name == comparison.baseline else 2},
                customdata=[score_with_interval(point.score, share) for point in points],
                hovertemplate=f"{plain_text(method.name)}: %{{customdata}}<extra></extra>",
                meta={"colour": reward_colour(colour)},
            )
        figure.update_layout(hovermode="x unified")
        figure.update_xaxes(showgrid=False, nticks=6, title_text="step")
        figure.update_yaxes(nticks=6, tickformat=".0%" if share else None)
        charts[f"curve-{index}"] = figure
    return {name: json.loads(figure.to_json()) for name, figure in charts.items()}


def _band(points: list[CurvePoint]) -> dict[str, Any]:
    """The outline of the intervals: along the upper bounds and back along the lower ones."""
    there, back = [point.step for point in points], [point.step for point in reversed(points)]
    upper = [short(point.score.high) for point in points]
    lower = [short(point.score.low) for point in reversed(points)]
    return {
        "x": there + back,
        "y": upper + lower,
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "hoverinfo": "skip",
    }
