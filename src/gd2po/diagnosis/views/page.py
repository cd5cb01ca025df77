"""The page: one HTML file that needs no network, with the verdict first and every string of the log escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gd2po.diagnosis.model import Diagnosis, HeldOutScore, MethodNumbers, PairKind, Run, ShownGroup
from gd2po.diagnosis.numbers.estimates import RESAMPLES
from gd2po.diagnosis.views.methods import (
    CONDITIONS_TITLES,
    change_in_words,
    main_methods,
    origin_in_words,
    recommended_threshold,
    sample_note,
    score_in_words,
    to_paste,
    warnings_of,
    weight_in_words,
)
from gd2po.report.commands import replay_command
from gd2po.report.page import render_page, require_page_packages, script_json
from gd2po.report.wording import number, percent, sureness, with_interval
from gd2po.runs.files import write_text

MOST_PAIRS = 28
"""Pairs that the table shows; the heatmaps show all."""

READINGS: dict[PairKind, tuple[str, str]] = {
    "agree": ("good", "they agree: one family, or goals that go together"),
    "oppose": ("act", "they oppose each other: a trade-off"),
    "unrelated": ("watch", "unrelated"),
    "unclear": ("note", "not clear from this log"),
}
"""What a pair's correlation means: the tone and the words."""

_ROLES = ("assistant", "user", "system")
"""Words that a chat template leaves behind on lines of their own."""

_FULL_PULL = 3.0
"""Standard deviations at which the bar of a reward advantage is full."""


def render_html(diagnosis: Diagnosis, *, reload_s: int | None = None) -> str:
    """The page of a diagnosis: HTML with its style, scripts and data inside.

    Args:
        diagnosis: what it shows.
        reload_s: seconds after which it loads itself again, as the report of a run that goes on; None: it does not.

    Raises:
        MissingDependencyError: Plotly or Jinja2 is not installed.
    """
    require_page_packages("The page")
    from markupsafe import Markup

    from gd2po.diagnosis.views.charts import all_charts

    shown_methods, other_methods = main_methods(diagnosis.methods)
    context = {
        "d": diagnosis,
        "reload_s": reload_s,
        "explorer_json": Markup(script_json(_explorer_data(diagnosis))),
        "has_course": len(diagnosis.course.first_step) > 1,
        "group_sizes": _group_sizes(diagnosis.source.group_sizes),
        "run": _run(diagnosis.source.run),
        "readings": READINGS,
        "shown_pairs": sorted(diagnosis.pairs, key=lambda pair: -(pair.conflict_rate.value or 0))[:MOST_PAIRS],
        "shown_methods": shown_methods,
        "other_methods": other_methods,
        "sample_note": sample_note(diagnosis),
        "warnings": warnings_of(shown_methods),
        "origins": CONDITIONS_TITLES,
        "to_paste": to_paste(diagnosis.action),
        "recommended": recommended_threshold(diagnosis.explorer),
        "colours": {reward.name: index % 8 for index, reward in enumerate(diagnosis.rewards)},
        "resamples": f"{RESAMPLES:,}",
        "replay": replay_command(diagnosis.source.path),
    }
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "number": number,
        "sureness": sureness,
        "interval": with_interval,
        "width": _width,
        "flex": _flex,
        "pull": _pull,
        "title": _title,
        "voices": _voices,
        "thresholds": _thresholds,
        "weight": weight_in_words,
        "origin": origin_in_words,
        "times": _times,
        "shown": _shown,
        "pieces": _pieces,
        "first_and_last": _first_and_last,
        "change": change_in_words,
    }
    return render_page("gd2po.diagnosis.views", "report.html.j2", all_charts(diagnosis), context, filters)


def write_html(diagnosis: Diagnosis, path: str | Path, *, reload_s: int | None = None) -> Path:
    """Write the page, as of `render_html`; a reader of the old one never sees half of the new one."""
    return write_text(path, render_html(diagnosis, reload_s=reload_s))


def _explorer_data(diagnosis: Diagnosis) -> dict[str, Any]:
    explorer = diagnosis.explorer
    return {
        "marked": explorer.marked_threshold,
        "recommended": recommended_threshold(explorer),
        "keep": explorer.keep_rate,
        "rewards": [
            {
                "retained": explorer.retained[reward.name],
                "retainedNegative": explorer.retained_negative[reward.name],
            }
            for reward in diagnosis.rewards
        ],
    }


def _title(prompt: str) -> str:
    """The line of a prompt that tells it from others: the last one, since instructions common to all come first."""
    lines = [line.strip() for line in prompt.splitlines()]
    telling = [line for line in lines if line and line.lower().rstrip(":") not in _ROLES]
    return telling[-1] if telling else prompt


def _group_sizes(sizes: dict[int, int]) -> str:
    """Sizes of the groups in words: "8", "2 to 9"."""
    return str(next(iter(sizes))) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"


def _run(run: Run | None) -> str:
    return "" if run is None else f"{run.label}, as {run.origin} says"


def _times(count: int) -> str:
    """How often the same rollout comes, where it is more than once."""
    return f"{count} times · " if count > 1 else ""


def _pieces(text: str) -> list[str]:
    """A command or configuration in pieces that are not to be broken where there is room, which join to it again."""
    return [piece for piece in re.split(r"(?= --)|(?<=\n)", text) if piece]


def _shown(group: ShownGroup) -> int:
    return sum(rollout.count for rollout in group.rollouts)


def _first_and_last(score: HeldOutScore) -> str:
    """A held-out score at the first and the last evaluation."""
    ends = [score.values[0]] if len(score.values) == 1 else [score.values[0], score.values[-1]]
    return " → ".join(score_in_words(score, value) for value in ends)


def _width(share: float | None) -> str:
    return f"{100 * min(max(share or 0.0, 0.0), 1.0):.1f}"


def _flex(share: float | None) -> str:
    return f"{max(share or 0.0, 0.0):.4f}"


def _pull(advantage: float) -> str:
    """Style of a bar from the middle to the right (above the group) or left (below)."""
    length = 50 * min(abs(advantage) / _FULL_PULL, 1)
    side = "left" if advantage >= 0 else "right"
    return f"{side}: 50%; width: {length:.1f}%"


def _voices(method: MethodNumbers) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in method.variance_share.items())


def _thresholds(used: tuple[float, float, float]) -> str:
    return f"thresholds {used[0]:g} to {used[2]:g}, median {used[1]:g}"
