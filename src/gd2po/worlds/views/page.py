"""A comparison in worlds as a page and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gd2po.comparison.statistics import ENOUGH_SEEDS
from gd2po.report.documents import to_document
from gd2po.report.findings import tone_of
from gd2po.report.page import render_page, require_page_packages
from gd2po.runs.files import write_text
from gd2po.worlds.analysis import SCHEMA, SCHEMA_VERSION, MethodInWorld, WorldMap
from gd2po.worlds.findings import findings_of, headline_of
from gd2po.worlds.views.wording import difference, grid, level, rows, signed

_FULL_COLOUR = 0.5
"""Difference, as a share of what the baseline gains, from which on a cell of the map has its full colour."""


def write_json(world_map: WorldMap, path: str | Path) -> Path:
    """Write the JSON; a reader of the old one never sees half of the new one."""
    return write_text(path, to_document(SCHEMA, SCHEMA_VERSION, world_map))


def render_html(world_map: WorldMap) -> str:
    """The page of a comparison in worlds: HTML with its style, scripts and data inside.

    Raises:
        MissingDependencyError: Plotly or Jinja2 is not installed.
    """
    require_page_packages("The page")
    from gd2po.worlds.views.charts import all_charts

    charts = all_charts(world_map)
    context = {
        "m": world_map,
        "charts": charts,
        "headline": headline_of(world_map),
        "findings": findings_of(world_map),
        "others": [label for label in world_map.labels if label != world_map.baseline],
        "rows": rows(world_map),
        "enough_seeds": ENOUGH_SEEDS,
    }
    filters: dict[str, Callable[..., Any]] = {
        "differing": difference,
        "level": level,
        "signed": signed,
        "grid": grid,
        "tone": tone_of,
        "shade": _shade,
        "colour": lambda label: world_map.labels.index(label) % 8,
    }
    return render_page("gd2po.worlds.views", "worlds.html.j2", charts, context, filters)


def write_html(world_map: WorldMap, path: str | Path) -> Path:
    """Write the page; a reader of the old one never sees half of the new one."""
    return write_text(path, render_html(world_map))


def _shade(method: MethodInWorld, baseline: MethodInWorld) -> str:
    """Style of a cell of the map: the sign's colour, the deeper the more of the baseline's gain the difference is."""
    if method.difference is None:
        return ""
    gain = max(abs(baseline.gain.value), 1e-9)
    depth = min(abs(method.difference.value) / gain / _FULL_COLOUR, 1.0)
    colour = "positive" if method.difference.value > 0 else "negative"
    return f"background: color-mix(in srgb, var(--{colour}) {60 * depth:.0f}%, transparent)"
