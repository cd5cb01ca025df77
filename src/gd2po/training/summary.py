"""What `gd2po train` says of a run: where it resumes, and the table at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.core.metrics import PREFIX
from gd2po.runs.checkpoints import Resume

_IDLE = {
    "never applied": " (it gave no rollout a score)",
    "never told rollouts apart": " (it gave all rollouts of a prompt the same score, for every prompt)",
}


def print_resume(resume: Resume | None, console: Console) -> None:
    """Print where a run resumes and what it passed over; nothing for one that starts anew."""
    if resume is not None:
        for line in (f"Resuming from {resume.checkpoint}", *resume.notes):
            console.print(line, highlight=False, soft_wrap=True, markup=False)


def print_summary(folder: Path, summary: dict[str, Any], console: Console) -> None:
    """Print what the run learned, what happened to its rollouts, and what to try next."""
    before, after = summary["held_out"]["before"], summary["held_out"]["after"]
    if before and after:
        table = Table(title=f"{before['num_prompts']} held-out prompts, greedy decoding", title_justify="left")
        table.add_column("")
        for column in ("before", "after", "change"):
            table.add_column(column, justify="right")
        for name, value in before["metrics"].items():
            share = name in before["shares"] and name in after["shares"]
            _add_row(table, name, value, after["metrics"][name], share=share)
        for name, value in before["rewards"].items():
            _add_row(table, name, value, after["rewards"][name])
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
    for name, what in summary["idle_rewards"].items():
        text = f"{name} {what}{_IDLE[what]}: it taught nothing."
        console.print(Text.assemble(("Dead reward: ", "bold red"), text), soft_wrap=True)
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


def _add_row(table: Table, name: str, before: float, after: float, *, share: bool = False) -> None:
    """A score before and after; shares in percent, their change in points."""
    if share:
        cells = [f"{100 * before:.1f} %", f"{100 * after:.1f} %", f"{100 * (after - before):+.1f}"]
    else:
        cells = [f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}"]
    table.add_row(name, *cells)
