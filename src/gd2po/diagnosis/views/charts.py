"""The charts of the page, as Plotly figures without colours: the page's script paints them for light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gd2po.diagnosis.model import Course, Diagnosis, Explorer, HeldOutScore
from gd2po.diagnosis.numbers.sums import pairs_of
from gd2po.diagnosis.views.methods import score_in_words
from gd2po.report.charts import MUTED, NEUTRAL, base_layout, plain_figures, plain_text, reward_colour, short
from gd2po.report.wording import number, percent, signed

LONGEST_LABEL = 16
OTHER_COLOUR = 6
"""Of a held-out score that is no reward."""

MOST_LABELLED = 10
"""Rewards up to which the cells of a heatmap hold numbers."""


def all_charts(diagnosis: Diagnosis) -> dict[str, Any]:
    """The figures of a page by the id of the element that they go into."""
    charts: dict[str, go.Figure] = {}
    names = [reward.name for reward in diagnosis.rewards]
    course = diagnosis.course
    if len(course.first_step) > 1:
        for index, name in enumerate(names):
            charts[f"course-{index}"] = _curve(course, course.mean[name], reward_colour(index), "mean", share=False)
        charts["course-conflicts"] = _curve(course, course.conflict_rate, NEUTRAL, "conflict rate", share=True)
        if course.length is not None:
            charts["course-length"] = _curve(course, course.length, MUTED, "tokens", share=False)
    held_out = diagnosis.held_out
    if held_out is not None and len(held_out.steps) > 2:
        for index, score in enumerate(held_out.scores):
            colour = reward_colour(names.index(score.name) if score.name in names else OTHER_COLOUR)
            charts[f"held-out-{index}"] = _scores(held_out.steps, score, colour)
    if len(names) > 1:
        charts["heat-conflicts"] = _heatmap(diagnosis, names, "conflict")
        charts["heat-correlation"] = _heatmap(diagnosis, names, "correlation")
        charts["explorer"] = _explorer(diagnosis.explorer, names)
    return plain_figures(charts)


def _curve(course: Course, values: Sequence[float | None], colour: str, label: str, *, share: bool) -> go.Figure:
    """One number over the steps."""
    spans = [
        f"step {first}" if first == last else f"steps {first} to {last}"
        for first, last in zip(course.first_step, course.last_step, strict=True)
    ]
    middle = [(first + last) / 2 for first, last in zip(course.first_step, course.last_step, strict=True)]
    write = percent if share else number
    line = go.Scatter(
        x=middle,
        y=[short(value) for value in values],
        mode="lines",
        line={"width": 2},
        customdata=[(span, write(value)) for span, value in zip(spans, values, strict=True)],
        hovertemplate=f"%{{customdata[0]}}<br>{label} %{{customdata[1]}}<extra></extra>",
        meta={"colour": colour},
    )
    figure = go.Figure(line, layout=base_layout(height=170))
    figure.update_xaxes(nticks=5, showgrid=False)
    figure.update_yaxes(nticks=4, tickformat=".0%" if share else None, rangemode="tozero" if share else "normal")
    return figure


def _scores(steps: Sequence[int], score: HeldOutScore, colour: str) -> go.Figure:
    """A held-out score over the evaluations."""
    line = go.Scatter(
        x=list(steps),
        y=[short(value) for value in score.values],
        mode="lines+markers",
        line={"width": 2},
        marker={"size": 6},
        customdata=[score_in_words(score, value) for value in score.values],
        hovertemplate="step %{x}<br>%{customdata}<extra></extra>",
        meta={"colour": colour},
    )
    figure = go.Figure(line, layout=base_layout(height=150))
    figure.update_xaxes(nticks=5, showgrid=False)
    figure.update_yaxes(nticks=4, tickformat=".0%" if score.is_share else None)
    return figure


def _heatmap(diagnosis: Diagnosis, names: Sequence[str], what: str) -> go.Figure:
    """Pairs of rewards: how often they conflict, or how they correlate inside groups."""
    size = len(names)
    values: list[list[float | None]] = [[None] * size for _ in range(size)]
    texts = [[""] * size for _ in range(size)]
    for (j, k), pair in zip(pairs_of(size), diagnosis.pairs, strict=True):
        value = pair.conflict_rate.value if what == "conflict" else pair.correlation.value
        text = percent(value) if what == "conflict" else signed(value)
        values[j][k] = values[k][j] = short(value)
        texts[j][k] = texts[k][j] = text
    # A pair of index axes instead of names: two rewards may share their first letters.
    shortened = [_short_name(name) for name in names]
    ticks = list(range(size))
    heat = go.Heatmap(
        z=values,
        x=ticks,
        y=ticks,
        text=texts,
        texttemplate="%{text}" if size <= MOST_LABELLED else None,
        customdata=[[plain_text(f"{names[j]} and {names[k]}") for k in ticks] for j in ticks],
        hovertemplate="%{customdata}<br>%{text}<extra></extra>",
        hoverongaps=False,
        xgap=3,
        ygap=3,
        zmin=0 if what == "conflict" else -1,
        zmax=max(0.5, *(pair.conflict_rate.value or 0 for pair in diagnosis.pairs)) if what == "conflict" else 1,
        showscale=False,
        meta={"scale": "sequential" if what == "conflict" else "diverging"},
    )
    figure = go.Figure(heat, layout=base_layout(height=max(220, 60 + 52 * size)))
    # The page's script labels the axes, since what fits depends on the width.
    figure.update_layout(meta={"names": shortened, "labels": [plain_text(name) for name in shortened]})
    figure.update_xaxes(showgrid=False, ticks="", showline=False)
    figure.update_yaxes(showgrid=False, ticks="", showline=False, autorange="reversed")
    return figure


def _explorer(explorer: Explorer, names: Sequence[str]) -> go.Figure:
    """What every threshold keeps, above the scores of the conflicts."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.07)
    for index, name in enumerate(names):
        for side, kept, dash in (
            ("signal", explorer.retained, "solid"),
            ("penalties", explorer.retained_negative, "dot"),
        ):
            figure.add_scatter(
                x=explorer.thresholds,
                y=[short(value) for value in kept[name]],
                mode="lines",
                line={"width": 2, "dash": dash},
                customdata=[percent(value) for value in kept[name]],
                hovertemplate=f"{plain_text(name)}, {side}: %{{customdata}}<extra></extra>",
                meta={"colour": reward_colour(index)},
                row=1,
                col=1,
            )
    figure.add_scatter(
        x=explorer.thresholds,
        y=[short(value) for value in explorer.keep_rate],
        mode="lines",
        line={"width": 3},
        customdata=[percent(value) for value in explorer.keep_rate],
        hovertemplate="rollouts: %{customdata}<extra></extra>",
        meta={"colour": NEUTRAL},
        row=1,
        col=1,
    )
    edges = explorer.snr_edges
    figure.add_bar(
        x=[(low + high) / 2 for low, high in pairwise(edges)],
        y=explorer.snr_counts,
        width=(edges[1] - edges[0]) * 0.9,
        customdata=[f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)],
        hovertemplate="score %{customdata}: %{y:,} conflicts<extra></extra>",
        meta={"colour": MUTED},
        row=2,
        col=1,
    )
    figure.update_layout(**base_layout(height=430), hovermode="x unified")
    figure.update_xaxes(range=[0, 1], nticks=6, showgrid=False, automargin=True, fixedrange=True, zeroline=False)
    figure.update_yaxes(automargin=True, fixedrange=True, zeroline=False)
    figure.update_xaxes(title_text="threshold, score", row=2, col=1)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", nticks=5, title_text="kept", row=1, col=1)
    figure.update_yaxes(nticks=3, title_text="conflicts", row=2, col=1)
    return figure


def _short_name(name: str) -> str:
    """A name that fits an axis; the middle goes, since names differ at either end."""
    if len(name) <= LONGEST_LABEL:
        return name
    half = (LONGEST_LABEL - 1) // 2
    return f"{name[: LONGEST_LABEL - 1 - half]}…{name[-half:]}"
