"""`gd2po doctor`."""

from __future__ import annotations

import sys

import typer
from rich.console import Console


def doctor() -> None:
    """Say what is found here to work with (torch, TRL, verl, vLLM ...), whether it loads, and what to do if not."""
    import gd2po
    from gd2po.integrations.doctor import run_checks

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"gd2po {gd2po.__version__} on Python {sys.version.split()[0]}, {sys.executable}\n", markup=False)
    shown = {"ok": ("ok", "green"), "missing": ("-", "dim"), "problem": ("PROBLEM", "bold red")}
    problems = []
    for finding in run_checks():
        word, style = shown[finding.state]
        way_out = f": {finding.way_out}" if finding.state == "missing" else ""
        console.print(f"{finding.package:<14} {finding.version or 'not installed':<16} ", end="", markup=False)
        console.print(f"{word:<8} {finding.note}{way_out}".rstrip(), style=style, markup=False)
        if finding.problem is not None:
            problems.append(finding)
    for finding in problems:
        console.print(f"\n{finding.package}: {finding.problem} {finding.way_out}", markup=False)
    raise typer.Exit(1 if problems else 0)
