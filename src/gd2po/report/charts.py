"""What all charts share: Plotly layouts without colours, which the page's script paints for light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from gd2po.report.intervals import Estimate

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

# What a trace's colour stands for; the script looks it up for the scheme of the moment.
NEUTRAL, MUTED = "ink", "muted"


def reward_colour(index: int) -> str:
    """The colour of a reward, by name."""
    return f"reward{index % 8}"


def base_layout(height: int) -> dict[str, Any]:
    """Layout of every chart."""
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "showlegend": False,
        "font": {"family": FONT, "size": 12},
        "dragmode": False,
        "xaxis": {"automargin": True, "fixedrange": True, "zeroline": False},
        "yaxis": {"automargin": True, "fixedrange": True, "zeroline": False},
    }


def plain_text(text: str) -> str:
    """Plotly reads a little HTML and its own placeholders in texts; a name has neither."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("{", "&#123;"), ("%", "&#37;")):
        text = text.replace(character, entity)
    return text


def short(value: float | None) -> float | None:
    """Enough digits for a chart."""
    return None if value is None else float(f"{value:.5g}")


def plain_figures(figures: Mapping[str, go.Figure]) -> dict[str, Any]:
    """Figures as the page's script reads them."""
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}


@dataclass(frozen=True)
class Curve:
    """An estimate along an axis."""

    label: str
    places: Sequence[float | None]
    estimates: Sequence[Estimate]
    texts: Sequence[str]
    """Shown at each place to who points there."""
    colour: int
    """Number of the colour."""
    is_baseline: bool = False


def figure_of(curves: Sequence[Curve], *, height: int = 320, bands: bool = True, mode: str = "lines") -> go.Figure:
    """The curves with their intervals.

    Args:
        curves: those with fewer than two intervals have no band.
        height: in pixels.
        bands: draw the intervals.
        mode: of the lines, in Plotly's words.
    """
    figure = go.Figure(layout=base_layout(height))
    for curve in curves if bands else ():  # before the first line, so that they lie below all
        _add_band(figure, curve)
    for curve in curves:
        figure.add_scatter(
            x=list(curve.places),
            y=[short(estimate.value) for estimate in curve.estimates],
            mode=mode,
            line={"width": 2.5 if curve.is_baseline else 2},
            customdata=list(curve.texts),
            hovertemplate=f"{plain_text(curve.label)}: %{{customdata}}<extra></extra>",
            meta={"colour": reward_colour(curve.colour)},
        )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(nticks=6)
    return figure


def _add_band(figure: go.Figure, curve: Curve) -> None:
    """The outline of the intervals: along the upper bounds and back along the lower ones."""
    inside = [(place, one) for place, one in zip(curve.places, curve.estimates, strict=True) if one.low is not None]
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
        meta={"colour": reward_colour(curve.colour)},
    )
