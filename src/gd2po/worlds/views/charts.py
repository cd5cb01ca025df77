"""The charts of a page on worlds, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gd2po.comparison.statistics import Estimate
from gd2po.report.charts import base_layout, plain_text, reward_colour, short
from gd2po.worlds.analysis import WorldMap, WorldNumbers
from gd2po.worlds.views.wording import difference, level

MOST_DRAWN = 6
"""Worlds up to which each has its curves; a map of more shows their ends in tables."""


def all_charts(world_map: WorldMap) -> dict[str, Any]:
    """The figures of the page by the id of the element that they go into."""
    figures = {}
    if world_map.knob is not None:
        figures["sweep"] = _sweep(world_map)
    elif len(world_map.worlds) <= MOST_DRAWN:
        for index, world in enumerate(world_map.worlds):
            figures[f"steps-{index}"] = _over_steps(world, world_map.baseline)
            figures[f"kl-{index}"] = _against_kl(world, world_map.baseline)
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}


def _over_steps(world: WorldNumbers, baseline: str) -> Any:
    figure = go.Figure(layout=base_layout(height=320))
    for colour, method in enumerate(world.methods):
        _add_band(figure, world.steps, method.score_curve, colour)
    for colour, method in enumerate(world.methods):
        texts = [level(estimate) for estimate in method.score_curve]
        _add_line(figure, world.steps, method.score_curve, colour, method.label, texts, method.label == baseline)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(showgrid=False, nticks=6, title_text="step")
    figure.update_yaxes(nticks=6)
    return figure


def _against_kl(world: WorldNumbers, baseline: str) -> Any:
    """The true score on the way, over how far the policy has moved: means over the seeds of both."""
    figure = go.Figure(layout=base_layout(height=320))
    for colour, method in enumerate(world.methods):
        distances = [float(short(estimate.value) or 0) for estimate in method.kl_curve]
        texts = [
            f"{level(estimate)} at step {step}"
            for step, estimate in zip(world.steps, method.score_curve, strict=True)
        ]  # fmt: skip
        _add_line(figure, distances, method.score_curve, colour, method.label, texts, method.label == baseline)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(showgrid=False, nticks=6, title_text="KL divergence from the start, nats")
    figure.update_yaxes(nticks=6)
    return figure


def _sweep(world_map: WorldMap) -> Any:
    figure = go.Figure(layout=base_layout(height=380))
    lines: list[tuple[int, str, list[Estimate]]] = []
    for colour, label in enumerate(world_map.labels):
        differences = [
            method.difference
            for world in world_map.worlds
            for method in world.methods
            if method.label == label and method.difference is not None
        ]
        if label != world_map.baseline:
            lines.append((colour, label, differences))
    for colour, _, differences in lines:
        _add_band(figure, world_map.values, differences, colour)
    for colour, label, differences in lines:
        texts = [difference(estimate) for estimate in differences]
        _add_line(figure, world_map.values, differences, colour, label, texts, False, mode="lines+markers")
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(showgrid=False, tickvals=world_map.values, title_text=plain_text(world_map.knob or ""))
    figure.update_yaxes(nticks=6, zeroline=True)
    return figure


def _add_line(
    figure: Any,
    places: Sequence[float],
    estimates: Sequence[Estimate],
    colour: int,
    label: str,
    texts: Sequence[str],
    is_baseline: bool,
    mode: str = "lines",
) -> None:
    figure.add_scatter(
        x=list(places),
        y=[short(estimate.value) for estimate in estimates],
        mode=mode,
        line={"width": 2.5 if is_baseline else 2},
        customdata=list(texts),
        hovertemplate=f"{plain_text(label)}: %{{customdata}}<extra></extra>",
        meta={"colour": reward_colour(colour)},
    )


def _add_band(figure: Any, places: Sequence[float], estimates: Sequence[Estimate], colour: int) -> None:
    """The outline of the intervals: along the upper bounds and back along the lower ones."""
    inside = [(place, one) for place, one in zip(places, estimates, strict=True) if one.low is not None]
    if len(inside) < 2:
        return
    there = [place for place, _ in inside]
    figure.add_scatter(
        x=there + there[::-1],
        y=[short(one.high) for _, one in inside] + [short(one.low) for _, one in reversed(inside)],
        mode="lines",
        line={"width": 0},
        fill="toself",
        hoverinfo="skip",
        meta={"colour": reward_colour(colour)},
    )
