"""What `gd2po train` says of a run: where it resumes, and the table at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.core.metrics import PREFIX
from gd2po.report.commands import activation, command
from gd2po.report.documents import plain
from gd2po.report.terminal import print_table
from gd2po.runs.checkpoints import Resume
from gd2po.runs.folder import CONFIG
from gd2po.training.arguments import ParsedRun

_IDLE = {
    "never applied": " (it gave no rollout a score)",
    "never told rollouts apart": " (it gave all rollouts of a prompt the same score, for every prompt)",
}


def print_resume(resume: Resume | None, console: Console) -> None:
    """Print where a run resumes and what it passed over; nothing for one that starts anew."""
    if resume is not None:
        for line in (f"Resuming from {resume.checkpoint}", *resume.notes):
            console.print(line, highlight=False, soft_wrap=True, markup=False)


def print_dry_run(parsed: ParsedRun) -> None:
    """Print what a run would be, as YAML that `config` takes: every setting that is not the default."""
    text = yaml.safe_dump(plain(parsed.changed), sort_keys=False, allow_unicode=True)
    notes = "".join(f"# Note: {note}\n" for note in parsed.notes)
    sys.stdout.write(f"# A dry run: nothing was trained. Every other field has its default.\n{notes}{text}")


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
        print_table(table, console)
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
    """Print commands to paste, each below what it does."""
    activate = activation()
    if activate is not None:
        console.print(f"\nTo have gd2po on your path: {activate}", highlight=False, soft_wrap=True, markup=False)
    lines = [f"  # {what}\n  {line}" for what, line in next_commands(folder, summary)]
    console.print("\n".join(["\nNext:", *lines]), highlight=False, soft_wrap=True, markup=False)


def next_commands(folder: Path, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What to run next, with what it does: the same run with another method or filter, and the diagnosis.

    The run's own config.yaml holds every setting that it had, and each run gets a folder of its own.
    """
    own = summary["advantage_estimator"]
    other = "gdpo" if own == "gd2po" else "gd2po"
    again = ("train", "--config", folder / CONFIG)
    commands = [
        (
            f"the same run with {other}",
            command(*again, "--advantage_estimator", other, "--output_dir", _unused(folder, other)),
        )
    ]
    if own == "gd2po" and summary["filtering"] != "hard":
        line = command(*again, "--filtering", "hard", "--output_dir", _unused(folder, "hard"))
        commands.append(("the same run that drops every conflict", line))
    return [*commands, ("where its rewards conflict, and what each method would do", command("diagnose", folder))]


def _unused(folder: Path, suffix: str) -> Path:
    """A folder beside a run's that is not there yet."""
    found, number = folder.with_name(f"{folder.name}-{suffix}"), 2
    while found.exists():
        found, number = folder.with_name(f"{folder.name}-{suffix}-{number}"), number + 1
    return found


def _add_row(table: Table, name: str, before: float, after: float, *, share: bool = False) -> None:
    """A score before and after; shares in percent, their change in points."""
    if share:
        cells = [f"{100 * before:.1f} %", f"{100 * after:.1f} %", f"{100 * (after - before):+.1f}"]
    else:
        cells = [f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}"]
    table.add_row(name, *cells)
