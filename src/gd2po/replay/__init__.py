"""Replay: what each method would make of the rollouts of a log, judged by a column that it does not learn from.

    log = RewardLog("runs/mine")
    result = replay(log, gold="verified")
    write_html(result, "replay.html")

Needs `gd2po[report]`. docs/replay.md says what a replay cannot see.
"""

from gd2po.replay.analysis import replay
from gd2po.replay.model import AtDistance, Estimate, GoldNumbers, MethodOnGold, Replay
from gd2po.replay.views.page import render_html, write_html, write_json
from gd2po.replay.views.terminal import print_replay

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
