"""The terminal view of a map of worlds."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.comparison.statistics import Estimate
from gd2po.worlds.analysis import MethodInWorld, WorldMap

GOOD, BAD, SAME = "green", "red", ""


def print_map(world_map: WorldMap, console: Console) -> None:
    """Print differences to the baseline, what they cost on the way, regrets and learning rates.

    Args:
        world_map: what to print.
        console: where to; its width decides how tables fold.
    """
    count = len(world_map.seeds)
    seeds = "1 seed" if count == 1 else f"{count} seeds"
    others = [label for label in world_map.labels if label != world_map.baseline]
    to_baseline = f"difference to {world_map.baseline}, {seeds} (* beyond noise)"
    for title, table in (
        (f"Final score, {to_baseline}", _differences(world_map, others)),
        (f"Mean score on the way, {to_baseline}", _areas(world_map, others)),
        ("Regret to the best method of the world (* beyond noise)", _regrets(world_map)),
        ("Learning rate, the best on the mean final score (! at the edge of the grid)", _rates(world_map)),
    ):
        console.print(Text(title, style="bold"), table, sep="\n", highlight=False)


def difference(estimate: Estimate | None) -> Text:
    """A difference with half the width of its interval, marked where it is beyond noise.

    Example:
        >>> difference(Estimate(0.0822, 0.066, 0.098, 24)).plain, difference(Estimate(-0.001, -0.01, 0.01, 24)).plain
        ('+0.082 ± 0.016 *', '−0.001 ± 0.010')
    """
    if estimate is None:
        return Text("")
    text = signed(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        text += f" ± {(estimate.high - estimate.low) / 2:.3f}"
    if not estimate.beyond_noise:
        return Text(text, style=SAME)
    return Text(f"{text} *", style=GOOD if estimate.value > 0 else BAD)


def signed(value: float) -> str:
    """A difference with its sign.

    Example:
        >>> signed(0.0314), signed(-0.0314), signed(-0.0001)
        ('+0.031', '−0.031', '0.000')
    """
    text = f"{abs(value):.3f}"
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def _table(columns: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("world", overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table


def _by_label(methods: list[MethodInWorld]) -> dict[str, MethodInWorld]:
    return {method.label: method for method in methods}


def _differences(world_map: WorldMap, others: list[str]) -> Table:
    table = _table([f"{world_map.baseline}: gain", *others])
    for world in world_map.worlds:
        methods = _by_label(world.methods)
        gain = signed(methods[world_map.baseline].gain.value)
        table.add_row(Text(world.name), Text(gain), *(difference(methods[label].difference) for label in others))
    return table


def _areas(world_map: WorldMap, others: list[str]) -> Table:
    table = _table(others)
    for world in world_map.worlds:
        methods = _by_label(world.methods)
        table.add_row(Text(world.name), *(difference(methods[label].area_difference) for label in others))
    return table


def _regrets(world_map: WorldMap) -> Table:
    table = _table(world_map.labels)
    for world in world_map.worlds:
        cells = []
        for method in (_by_label(world.methods)[label] for label in world_map.labels):
            mark = " *" if method.regret.beyond_noise else ""
            cells.append(Text(f"{method.regret.value:.3f}{mark}", style=BAD if mark else "bold"))
        table.add_row(Text(world.name), *cells)
    largest = (Text(f"{world_map.largest_regret[label]:.3f}") for label in world_map.labels)
    table.add_section()
    table.add_row(Text("largest"), *largest)
    return table


def _rates(world_map: WorldMap) -> Table:
    table = _table(world_map.labels)
    for world in world_map.worlds:
        methods = (_by_label(world.methods)[label] for label in world_map.labels)
        cells = (Text(f"{method.learning_rate:g}{' !' if method.at_edge else ''}") for method in methods)
        table.add_row(Text(world.name), *cells)
    return table
