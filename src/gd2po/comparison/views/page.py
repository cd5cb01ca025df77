"""The result of a comparison as a page and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gd2po.comparison.model import SCHEMA_VERSION, Comparison, MethodNumbers
from gd2po.comparison.statistics import ENOUGH_SEEDS
from gd2po.comparison.views.wording import difference_with_interval, reached, score, score_with_interval
from gd2po.report.documents import to_document
from gd2po.report.findings import tone_of
from gd2po.report.page import render_page, require_page_packages
from gd2po.report.wording import number, percent, signed
from gd2po.runs.files import write_text


def to_json(comparison: Comparison) -> str:
    """A comparison as JSON text; docs/compare.md lists its keys."""
    return to_document("gd2po.comparison", SCHEMA_VERSION, comparison)


def write_json(comparison: Comparison, path: Path) -> Path:
    """Write the JSON; a reader of the old one never sees half of the new one."""
    return write_text(path, to_json(comparison))


def render_html(comparison: Comparison) -> str:
    """The page of a comparison: HTML with its style, scripts and data inside.

    Raises:
        MissingDependencyError: Plotly or Jinja2 is not installed.
    """
    require_page_packages("The page")
    from gd2po.comparison.views.charts import all_charts

    context = {
        "c": comparison,
        "rewards": list(dict.fromkeys(name for method in comparison.methods for name in method.retained)),
        "pairs": _pairs(comparison),
        "enough_seeds": ENOUGH_SEEDS,
    }
    filters: dict[str, Callable[..., str]] = {
        "percent": percent,
        "number": number,
        "signed": signed,
        "width": _width,
        "overrides": overrides_text,
        "reached": reached,
        "score": _by_metric(score, comparison),
        "scored": _by_metric(score_with_interval, comparison),
        "differing": _by_metric(difference_with_interval, comparison),
        "tone": lambda method, metric: tone_of(method.difference.get(metric)),
    }
    return render_page("gd2po.comparison.views", "compare.html.j2", all_charts(comparison), context, filters)


def write_html(comparison: Comparison, path: Path) -> Path:
    """Write the page; a reader of the old one never sees half of the new one."""
    return write_text(path, render_html(comparison))


def overrides_text(method: MethodNumbers) -> str:
    """What sets a method apart, as it was given.

    Example:
        >>> from types import SimpleNamespace
        >>> overrides_text(SimpleNamespace(overrides={"filtering": "hard", "snr_eps": "0"}))
        'filtering=hard, snr_eps=0'
    """
    return ", ".join(f"{key}={value}" for key, value in method.overrides.items())


def _pairs(comparison: Comparison) -> dict[str, float]:
    """In-group correlations of the rewards under the baseline, or else under the first method that has any."""
    ordered = sorted(comparison.methods, key=lambda method: method.name != comparison.baseline)
    return next((method.correlation for method in ordered if method.correlation), {})


def _by_metric(function: Callable[[Any, bool], str], comparison: Comparison) -> Callable[[Any, str], str]:
    """The function as a filter that is told the metric, from which it follows whether the number is a share."""
    return lambda value, metric: function(value, metric in comparison.shares)


def _width(share: float | None) -> str:
    return f"{100 * min(max(share or 0.0, 0.0), 1.0):.1f}"
