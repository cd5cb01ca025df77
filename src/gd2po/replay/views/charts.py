"""The charts of a replay, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

from typing import Any

from gd2po.replay.model import GoldNumbers, Replay
from gd2po.replay.views.wording import gained
from gd2po.report.charts import Curve, figure_of, plain_figures, short


def all_charts(replay: Replay) -> dict[str, Any]:
    """Gold against the distance from the logged policy, a figure per gold, by the id of its element."""
    figures = {f"gold-{index}": _against_kl(gold, replay.baseline) for index, gold in enumerate(replay.golds)}
    return plain_figures(figures)


def _against_kl(gold: GoldNumbers, baseline: str) -> Any:
    curves = [
        Curve(
            method.label,
            [short(distance) for distance in method.kl_curve],
            method.gain_curve,
            [f"{gained(point)} at step {step}" for step, point in enumerate(method.gain_curve)],
            colour,
            is_baseline=method.label == baseline,
        )
        for colour, method in enumerate(gold.methods)
    ]
    figure = figure_of(curves, height=340)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(nticks=6, title_text="KL divergence from the logged policy, nats")
    return figure
