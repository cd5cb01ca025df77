"""What all charts share: Plotly layouts without colours, which the page's script paints for light and dark."""

from __future__ import annotations

from typing import Any

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
