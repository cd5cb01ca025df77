"""The learning curves, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

from typing import Any

from gd2po.comparison.model import Comparison
from gd2po.comparison.views.wording import score_with_interval
from gd2po.report.charts import Curve, figure_of, plain_figures


def all_charts(comparison: Comparison) -> dict[str, Any]:
    """The figures of the page by the id of the element that they go into: one for each score."""
    figures = {f"curve-{index}": _over_steps(comparison, metric) for index, metric in enumerate(comparison.metrics)}
    return plain_figures(figures)


def _over_steps(comparison: Comparison, metric: str) -> Any:
    share = metric in comparison.shares
    curves = [
        Curve(
            method.name,
            [point.step for point in method.curves[metric]],
            [point.score for point in method.curves[metric]],
            [score_with_interval(point.score, share) for point in method.curves[metric]],
            colour,
            is_baseline=method.name == comparison.baseline,
        )
        for colour, method in enumerate(comparison.methods)
    ]
    figure = figure_of(curves)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(nticks=6, title_text="step")
    figure.update_yaxes(tickformat=".0%" if share else None)
    return figure
