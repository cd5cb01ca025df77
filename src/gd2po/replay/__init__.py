"""Replay: what each method would make of the rollouts of a log, judged by a column that it does not learn from.

    log = RewardLog("runs/mine")
    result = replay(log, gold="verified")
    write_html(result, "replay.html")

Needs `gd2po[report]`. docs/replay.md says what a replay cannot see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gd2po.lazy import lazy_name

if TYPE_CHECKING:
    from gd2po.replay.analysis import replay
    from gd2po.replay.model import AtDistance, GoldNumbers, MethodOnGold, Replay
    from gd2po.replay.views.page import render_html, write_html, write_json
    from gd2po.replay.views.terminal import print_replay
    from gd2po.report.intervals import Estimate

__all__ = [
    "AtDistance",
    "Estimate",
    "GoldNumbers",
    "MethodOnGold",
    "Replay",
    "print_replay",
    "render_html",
    "replay",
    "write_html",
    "write_json",
]

_HOMES = {
    "AtDistance": "gd2po.replay.model",
    "Estimate": "gd2po.report.intervals",
    "GoldNumbers": "gd2po.replay.model",
    "MethodOnGold": "gd2po.replay.model",
    "Replay": "gd2po.replay.model",
    "print_replay": "gd2po.replay.views.terminal",
    "render_html": "gd2po.replay.views.page",
    "replay": "gd2po.replay.analysis",
    "write_html": "gd2po.replay.views.page",
    "write_json": "gd2po.replay.views.page",
}


def __getattr__(name: str) -> Any:
    # The command line asks for the defaults, and shows its help without torch.
    return lazy_name(__name__, _HOMES, name)
