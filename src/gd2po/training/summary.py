"""The table at the end of `gd2po train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gd2po.core.metrics import PREFIX


def print_summary(folder: Path, summary: dict[str, Any], console: Console) -> None:
    """Print what the run learned, what happened to its rollouts, and what to try next."""
    before, after = summary["held_out"]["before"], summary["held_out"]["after"]
    if before and after:
        table = Table(title=f"{before['num_prompts']} held-out prompts, greedy decoding", title_justify="left")
        table.add_column("")
        for column in ("before", "after", "change"):
            table.add_column(column, justify="right")
        for name in before["rewards"]:
            _add_row(table, name, before["rewards"][name], after["rewards"][name], "{:.3f}", "{:+.3f}")
        if before["exact_call_accuracy"] is not None:
            first, last = (100 * scores["exact_call_accuracy"] for scores in (before, after))
            _add_row(table, "exact-call accuracy", first, last, "{:.1f} %", "{:+.1f}")
        console.print(table)
    means = summary["training_means"]
    facts = [f"{summary['advantage_estimator']}, {summary['steps']} steps in {summary['train_seconds']:.0f} s"]
    if f"{PREFIX}/rate" in means:
        facts.append(f"conflicting rollouts {means[f'{PREFIX}/rate']:.1%}")
        facts.append(f"filtered {means[f'{PREFIX}/filtered_rate']:.1%}")
    console.print(" · ".join(facts), highlight=False)
    kept = {
        key.removeprefix(f"{PREFIX}/retained/"): value
        for key, value in means.items()
        if key.startswith(f"{PREFIX}/retained/")
    }
    if kept:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in kept.items())
        console.print(f"signal retained per reward: {shares}", highlight=False)
    console.print(f"\nRun folder: {folder}", highlight=False, soft_wrap=True)
    _print_next_commands(folder, summary, console)


def _print_next_commands(folder: Path, summary: dict[str, Any], console: Console) -> None:
    """Print commands to paste."""
    other = "gdpo" if summary["advantage_estimator"] == "gd2po" else "gd2po"
    recipe = summary["recipe"] or folder / "config.yaml"
    console.print(
        "Next:\n"
        f"  gd2po train --config {recipe} --advantage_estimator {other}   the same run with {other}\n"
        f"  gd2po train --config {recipe} --snr_threshold 1.0   drop every conflict\n"
        f"  gd2po diagnose {folder}   where its rewards conflict, and what each method would do",
        highlight=False,
        soft_wrap=True,
    )


def _add_row(table: Table, name: str, before: float, after: float, form: str, change: str) -> None:
    table.add_row(name, form.format(before), form.format(after), change.format(after - before))
