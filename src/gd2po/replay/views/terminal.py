"""The terminal view of a replay."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.replay.findings import findings_of, headline_of
from gd2po.replay.model import GoldNumbers, Replay
from gd2po.replay.views.wording import at_distance, difference, gained, grid
from gd2po.report.terminal import Part, coloured, headline_parts, plain_table, print_parts
from gd2po.report.wording import counted, number


def print_replay(replay: Replay, console: Console) -> None:
    """Print what a replay found: the headline, what follows, and a table per gold."""
    parts = headline_parts(headline_of(replay), findings_of(replay))
    for gold in replay.golds:
        parts += _gold(replay, gold)
    print_parts(parts, console)


def _gold(replay: Replay, gold: GoldNumbers) -> list[Part]:
    prompts = counted(gold.labelled_prompts, "prompt")
    held = "held out, " if replay.held_out else ""
    title = (
        f"{gold.gold} ({held}logged policy {number(gold.logged.value)}; 95% intervals over {prompts}; * beyond noise), "
        f"learned from {', '.join(gold.rewards)}"
    )
    distances = [f"{'to ' + replay.baseline} at {distance:g} nats" for distance in replay.distances]
    table = plain_table(None, "method", ["gain", f"to {replay.baseline}", "KL", *distances, "learning rate: gain"])
    for method in gold.methods:
        is_baseline = method.label == replay.baseline
        table.add_row(
            Text(f"{method.label} (baseline, gains)" if is_baseline else method.label),
            Text(gained(method.gain)),
            coloured(method.difference, difference),
            Text(f"{method.kl:.2f}"),
            *(Text(at_distance(method, distance, is_baseline)) for distance in replay.distances),
            Text(grid(method)),
        )
    return [Text(title, style="bold"), _unfolded(table)]


def _unfolded(table: Table) -> Table:
    table.columns[0].no_wrap = True
    return table
