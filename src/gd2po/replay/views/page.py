"""A replay as a page and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gd2po.replay.findings import findings_of, headline_of
from gd2po.replay.model import FEWEST_PROMPTS, SCHEMA, SCHEMA_VERSION, Replay
from gd2po.replay.views.wording import at_distance, difference, gained, grid
from gd2po.report.documents import to_document
from gd2po.report.findings import tone_of
from gd2po.report.page import render_page, require_page_packages
from gd2po.report.wording import number
from gd2po.runs.files import write_text


def to_json(replay: Replay) -> str:
    """A replay as JSON text; docs/replay.md lists its keys."""
    return to_document(SCHEMA, SCHEMA_VERSION, replay)


def write_json(replay: Replay, path: str | Path) -> Path:
    """Write the JSON; a reader of the old one never sees half of the new one."""
    return write_text(path, to_json(replay))


def render_html(replay: Replay) -> str:
    """The page of a replay: HTML with its style, scripts and data inside.

    Raises:
        MissingDependencyError: Plotly or Jinja2 is not installed.
    """
    require_page_packages("The page")
    from gd2po.replay.views.charts import all_charts

    context = {
        "r": replay,
        "headline": headline_of(replay),
        "findings": findings_of(replay),
        "fewest_prompts": FEWEST_PROMPTS,
    }
    filters: dict[str, Callable[..., Any]] = {
        "differing": difference,
        "gained": gained,
        "number": number,
        "grid": grid,
        "tone": tone_of,
        "at": lambda method, distance: at_distance(method, distance, method.label == replay.baseline),
        "tone_at": lambda method, distance: tone_of((here := method.at_distance[f"{distance:g}"]) and here.difference),
        "colour": lambda label: replay.labels.index(label) % 8,
    }
    return render_page("gd2po.replay.views", "replay.html.j2", all_charts(replay), context, filters)


def write_html(replay: Replay, path: str | Path) -> Path:
    """Write the page; a reader of the old one never sees half of the new one."""
    return write_text(path, render_html(replay))
