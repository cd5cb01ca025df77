"""The charts of a page on worlds, as Plotly figures without colours: the page's script paints them."""

from __future__ import annotations

from typing import Any

from gd2po.report.charts import Curve, figure_of, plain_figures, plain_text, short
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
    return plain_figures(figures)


def _over_steps(world: WorldNumbers, baseline: str) -> Any:
    curves = [
        Curve(
            method.label,
            world.steps,
            method.score_curve,
            [level(estimate) for estimate in method.score_curve],
            colour,
            is_baseline=method.label == baseline,
        )
        for colour, method in enumerate(world.methods)
    ]
    figure = figure_of(curves)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(nticks=6, title_text="step")
    return figure


def _against_kl(world: WorldNumbers, baseline: str) -> Any:
    """The true score on the way, over how far the policy has moved: means over the seeds of both."""
    curves = [
        Curve(
            method.label,
            [short(estimate.value) for estimate in method.kl_curve],
            method.score_curve,
            [
                f"{level(estimate)} at step {step}"
                for step, estimate in zip(world.steps, method.score_curve, strict=True)
            ],
            colour,
            is_baseline=method.label == baseline,
        )
        for colour, method in enumerate(world.methods)
    ]  # fmt: skip
    figure = figure_of(curves, bands=False)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(nticks=6, title_text="KL divergence from the start, nats")
    return figure


def _sweep(world_map: WorldMap) -> Any:
    curves = []
    for colour, label in enumerate(world_map.labels):
        differences = [
            method.difference
            for world in world_map.worlds
            for method in world.methods
            if method.label == label and method.difference is not None
        ]
        if label != world_map.baseline:
            texts = [difference(estimate) for estimate in differences]
            curves.append(Curve(label, world_map.values, differences, texts, colour))
    figure = figure_of(curves, height=380, mode="lines+markers")
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(tickvals=world_map.values, title_text=plain_text(world_map.knob or ""))
    figure.update_yaxes(zeroline=True)
    return figure
