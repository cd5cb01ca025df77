"""The terminal view of a comparison: the headline, what follows, and the tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.comparison.model import Comparison, MethodNumbers
from gd2po.comparison.views.wording import difference_with_interval, reached, score, score_with_interval
from gd2po.report.terminal import headline_parts, plain_table, print_parts
from gd2po.report.wording import number, percent


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what a comparison found."""
    parts = headline_parts(comparison.headline, comparison.findings)
    if comparison.metrics:
        parts += [_scores(comparison), _differences(comparison), _targets(comparison)]
    parts.append(_cost(comparison))
    print_parts(parts, console)


def _add(table: Table, comparison: Comparison, method: MethodNumbers, cells: list[str]) -> None:
    name = f"{method.name} (baseline)" if method.name == comparison.baseline else method.name
    table.add_row(*(Text(cell) for cell in [name, *cells]))


def _scores(comparison: Comparison) -> Table:
    table = plain_table(
        f"After {comparison.steps} steps, 95% intervals over seeds", "method", ["seeds", *comparison.metrics]
    )
    for method in comparison.methods:
        seeds = f"{len(method.seeds)} ({len(method.failed)} failed)" if method.failed else str(len(method.seeds))
        cells = [
            score_with_interval(method.final.get(metric), metric in comparison.shares) for metric in comparison.metrics
        ]
        _add(table, comparison, method, [seeds, *cells])
    return table


def _differences(comparison: Comparison) -> Table:
    table = plain_table(
        f"Difference to {comparison.baseline}, seed by seed (* beyond noise)", "method", comparison.metrics
    )
    for method in comparison.methods:
        if method.name == comparison.baseline:
            continue
        cells = []
        for metric in comparison.metrics:
            estimate = method.difference.get(metric)
            mark = " *" if estimate is not None and estimate.beyond_noise else ""
            cells.append(f"{difference_with_interval(estimate, metric in comparison.shares)}{mark}")
        _add(table, comparison, method, cells)
    return table


def _targets(comparison: Comparison) -> Table:
    columns = [
        metric if target is None else f"{metric} ≥ {score(target, metric in comparison.shares)}"
        for metric, target in ((metric, comparison.targets[metric]) for metric in comparison.metrics)
    ]
    table = plain_table("Steps to a target, median of the runs", "method", columns)
    for method in comparison.methods:
        _add(
            table, comparison, method, [reached(method.steps_to_target.get(metric)) for metric in comparison.metrics]
        )  # fmt: skip
    return table


def _cost(comparison: Comparison) -> Table:
    rewards = list(dict.fromkeys(name for method in comparison.methods for name in method.retained))
    columns = ["conflicts", "threshold", "kept", *(f"keeps of {reward}" for reward in rewards), "s / step", "tokens"]
    table = plain_table("What was kept (signal, penalties), and what a step cost", "method", columns)
    for method in comparison.methods:
        cells = [percent(method.conflict_rate), number(method.snr_threshold), percent(method.keep_rate)]
        cells += [
            f"{percent(method.retained.get(reward))}, {percent(method.retained_negative.get(reward))}"
            for reward in rewards
        ]
        tokens = "–" if method.tokens_per_step is None else f"{method.tokens_per_step:,.0f}"
        _add(table, comparison, method, [*cells, number(method.seconds_per_step), tokens])
    return table
