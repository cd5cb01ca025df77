"""An evaluation in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from gd2po.evaluation.api_bank import LevelScores
from gd2po.evaluation.run.policy import PolicyChoice
from gd2po.evaluation.run.result import Evaluation
from gd2po.evaluation.safety import DatasetRewards
from gd2po.report.terminal import print_table, print_written
from gd2po.report.wording import counted


def print_api_bank(evaluation: Evaluation[LevelScores], console: Console) -> None:
    """Print a line per level and one over all."""
    rows = {
        name: [str(part.num_outputs), _percent(part.accuracy), _percent(part.format), f"{part.length:.3f}"]
        for name, part in evaluation.scores.items()
    }
    title = f"API-Bank, {_decoding(evaluation.policy)}"
    _print(evaluation, title, ["outputs", "accuracy", "format", "length"], rows, console)


def print_toolcalls(evaluation: Evaluation[float], console: Console) -> None:
    """Print a line per score."""
    facts = ("num_outputs", "target_words")
    rows = {name: [f"{value:.4f}"] for name, value in evaluation.scores.items() if name not in facts}
    prompts = len(evaluation.outputs)
    title = f"toolcalls, {counted(prompts, 'held-out prompt')}, {_decoding(evaluation.policy)}"
    _print(evaluation, title, ["mean"], rows, console)


def print_safety(evaluation: Evaluation[DatasetRewards], console: Console) -> None:
    """Print a line per data set."""
    rewards = next(iter(evaluation.scores.values())).means
    rows = {
        name: [str(part.num_outputs), *(f"{mean:.4f}" for mean in part.means.values()), f"{part.total:.4f}"]
        for name, part in evaluation.scores.items()
    }
    title = f"Mean rewards, {_decoding(evaluation.policy)}"
    _print(evaluation, title, ["outputs", *rewards, "sum"], rows, console)


def _print(
    evaluation: Evaluation[Any],
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    console: Console,
) -> None:
    """Print the table, what is missing in it, and where it is saved."""
    table = Table()
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(title)  # not the table's own title, which wraps at the table's width
    print_table(table, console)
    found, wanted = len(evaluation.outputs), evaluation.num_prompts
    if found < wanted:
        console.print(f"Excluded, without an output in the file: {wanted - found} of {wanted} prompts.")
    if evaluation.path is not None:
        print_written([evaluation.path], console)


def _decoding(policy: PolicyChoice | None) -> str:
    """How the outputs came about."""
    if policy is None:
        return "outputs made elsewhere"
    return f"temperature {policy.temperature:g}" if policy.temperature > 0 else "greedy decoding"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
