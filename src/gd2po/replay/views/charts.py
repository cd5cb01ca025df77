"""The charts of a replay, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go

from gd2po.replay.model import GoldNumbers, Replay
from gd2po.replay.views.wording import gained
from gd2po.report.charts import base_layout, plain_text, reward_colour, short


def all_charts(replay: Replay) -> dict[str, Any]:
    """Gold against the distance from the logged policy, a figure per gold, by the id of its element."""
    figures = {f"gold-{index}": _against_kl(gold, replay.baseline) for index, gold in enumerate(replay.golds)}
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}


def _against_kl(gold: GoldNumbers, baseline: str) -> Any:
    figure = go.Figure(layout=base_layout(height=340))
    for colour, method in enumerate(gold.methods):
        if any(point.low is None for point in method.gain_curve):
            continue
        distances = [short(distance) for distance in method.kl_curve]
        figure.add_scatter(
            x=distances + distances[::-1],
            y=[short(point.high) for point in method.gain_curve]
            + [short(point.low) for point in reversed(method.gain_curve)],
            mode="lines",
            line={"width": 0},
            fill="toself",
            hoverinfo="skip",
            meta={"colour": reward_colour(colour)},
        )
    for colour, method in enumerate(gold.methods):
        figure.add_scatter(
            x=[short(distance) for distance in method.kl_curve],
            y=[short(point.value) for point in method.gain_curve],
            mode="lines",
            line={"width": 2.5 if method.label == baseline else 2},
            customdata=[f"{gained(point)} at step {step}" for step, point in enumerate(method.gain_curve)],
            hovertemplate=f"{plain_text(method.label)}: %{{customdata}}<extra></extra>",
            meta={"colour": reward_colour(colour)},
        )
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(showgrid=False, nticks=6, title_text="KL divergence from the logged policy, nats")
    figure.update_yaxes(nticks=6)
    return figure
