"""The terminal view of a comparison in worlds."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gd2po.report.terminal import DIFFERENCES, Part, coloured, headline_parts, plain_table, print_parts
from gd2po.worlds.analysis import MethodInWorld, WorldMap, WorldNumbers
from gd2po.worlds.findings import findings_of, headline_of
from gd2po.worlds.views.wording import difference, grid, level, rows, seeds, signed


def print_comparison(world_map: WorldMap, console: Console) -> None:
    """Print what a comparison found: the headline, what follows, and the tables of a map, a sweep or one world."""
    parts = headline_parts(headline_of(world_map), findings_of(world_map))
    parts += [_one_world(world_map, world_map.worlds[0])] if len(world_map.worlds) == 1 else _tables(world_map)
    print_parts(parts, console)


def print_map(world_map: WorldMap, console: Console) -> None:
    """Print differences to the baseline, what they cost on the way, regrets and learning rates.

    Args:
        world_map: what to print.
        console: where to; its width decides how tables fold.
    """
    for part in _tables(world_map):
        console.print(part, highlight=False)


def _tables(world_map: WorldMap) -> list[Part]:
    others = [label for label in world_map.labels if label != world_map.baseline]
    to_baseline = f"difference to {world_map.baseline}, {seeds(world_map)} (* beyond noise)"
    titled = (
        (f"Final score, {to_baseline}", _differences(world_map, others)),
        (f"Mean score on the way, {to_baseline}", _areas(world_map, others)),
        ("Regret to the best method of the world (* beyond noise)", _regrets(world_map)),
        ("Learning rate, the best on the mean final score (! at the edge of the grid)", _rates(world_map)),
    )
    # A title of the table's own would fold at its width.
    return [part for title, table in titled for part in (Text(title, style="bold"), table)]


def _one_world(world_map: WorldMap, world: WorldNumbers) -> Table:
    """A row per method."""
    title = f"{world.name}, after {world.steps[-1]} steps, 95% intervals over {seeds(world_map)} (* beyond noise)"
    columns = ["score", f"to {world_map.baseline}", "on the way", "regret", "training rewards", "KL", "learning rate"]
    table = plain_table(title, "method", columns)
    for method in world.methods:
        name = f"{method.label} (baseline)" if method.label == world_map.baseline else method.label
        table.add_row(
            Text(name),
            Text(level(method.final)),
            coloured(method.difference, difference),
            coloured(method.area_difference, difference),
            _regret(method),
            Text(signed(method.proxy_gain.value)),
            Text(f"{method.kl.value:.2f}"),
            Text(grid(method)),
        )
    return table


def _table(world_map: WorldMap, columns: list[str]) -> Table:
    return plain_table(None, world_map.knob or "world", columns)


def _differences(world_map: WorldMap, others: list[str]) -> Table:
    table = _table(world_map, [f"{world_map.baseline}: gain", *others])
    for name, _, methods in rows(world_map):
        gain = signed(methods[world_map.baseline].gain.value)
        table.add_row(Text(name), Text(gain), *(coloured(methods[label].difference, difference) for label in others))
    return table


def _areas(world_map: WorldMap, others: list[str]) -> Table:
    table = _table(world_map, others)
    for name, _, methods in rows(world_map):
        table.add_row(Text(name), *(coloured(methods[label].area_difference, difference) for label in others))
    return table


def _regrets(world_map: WorldMap) -> Table:
    table = _table(world_map, world_map.labels)
    for name, _, methods in rows(world_map):
        table.add_row(Text(name), *(_regret(methods[label]) for label in world_map.labels))
    largest = (Text(f"{world_map.largest_regret[label]:.3f}") for label in world_map.labels)
    table.add_section()
    table.add_row(Text("largest"), *largest)
    return table


def _regret(method: MethodInWorld) -> Text:
    mark = " *" if method.regret.beyond_noise else ""
    return Text(f"{method.regret.value:.3f}{mark}", style=DIFFERENCES["act"] if mark else "bold")


def _rates(world_map: WorldMap) -> Table:
    table = _table(world_map, world_map.labels)
    for name, _, methods in rows(world_map):
        chosen = (methods[label] for label in world_map.labels)
        table.add_row(Text(name), *(Text(f"{one.learning_rate:g}{' !' if one.at_edge else ''}") for one in chosen))
    return table
