"""`gd2po compare` in worlds: methods x worlds, simulated, kept, compared and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import PLAN, choose_baseline, method_names, parse_seeds
from gd2po.core import Setting
from gd2po.errors import ConfigError, RunFolderError
from gd2po.report.page import require_page_packages
from gd2po.report.terminal import print_written
from gd2po.report.wording import counted
from gd2po.runs.files import write_text
from gd2po.threads import one_thread
from gd2po.worlds.analysis import WorldMap, compare_worlds, sweep
from gd2po.worlds.choices import choose_learning_rates, choose_settings, choose_sweep, choose_worlds
from gd2po.worlds.declaration import World
from gd2po.worlds.simulation import WorldRun
from gd2po.worlds.views.page import write_html, write_json
from gd2po.worlds.views.terminal import print_comparison

SEEDS = "0-23"
"""Unless others are named: a world takes seconds."""

_KIND = "worlds"
"""Key of the plan by which a folder with worlds is known from one with training runs."""


@dataclass(frozen=True)
class WorldOptions:
    """What to compare in worlds."""

    world: str
    """Names or YAML files with commas between them, or "all"."""
    methods: str = ""
    """Built-in methods, with commas between them."""
    own_methods: Sequence[str] = field(default_factory=list)
    """`name:key=value,key=value` each: `method` and options of it."""
    seeds: str = SEEDS
    """Numbers and ranges, with commas between them."""
    learning_rates: str | None = None
    """The grid for every method; None for each world's own."""
    sweep: str | None = None
    """`knob=value,value`: one world at several values of one knob."""
    output_dir: str | None = None
    """Folder of the comparison; None for one under `runs` named for the world."""
    baseline: str | None = None
    """Method that the others are compared with; None for gdpo, or the first where gdpo is not compared."""


def compare_in_worlds(options: WorldOptions, console: Console) -> WorldMap:
    """Run, print and write a comparison; what the folder holds already is not simulated again.

    Raises:
        MissingDependencyError: `gd2po[report]` is not installed.
        ConfigError: an unknown world, method, knob or baseline, or a malformed list.
        InvalidInputError: a value that a world or method does not take.
        RunFolderError: the folder holds something else, or another comparison is at work in it.
        DiskFullError: no space is left.
        KeyboardInterrupt: with the folder in its message; finished runs are kept.
    """
    require_page_packages("A comparison")
    worlds = choose_worlds(options.world)
    settings = choose_settings(method_names(options.methods), options.own_methods)
    seeds, rates = parse_seeds(options.seeds), choose_learning_rates(options.learning_rates)
    baseline = choose_baseline(options.baseline, {name: {} for name in settings})
    folder = Path(options.output_dir or f"runs/{_folder_name(worlds)}")
    turn = None if options.sweep is None else _sweep_of(options.sweep, worlds)
    with files.opened(folder):
        _write_plan(folder, options, settings)
        count = len(worlds if turn is None else turn[1]) * len(settings)
        with _progress(console, count, len(seeds)) as progress, one_thread(), _naming(folder):
            if turn is None:
                world_map = compare_worlds(worlds, settings, seeds, rates, baseline, folder=folder, progress=progress)
            else:
                world_map = sweep(
                    worlds[0], *turn, settings, seeds, rates, baseline, folder=folder, progress=progress
                )  # fmt: skip
        written = [
            write_json(world_map, folder / files.JSON_NAME),
            write_html(world_map, folder / files.HTML_NAME),
        ]
    print_comparison(world_map, console)
    print_written(written, console)
    return world_map


def _sweep_of(text: str, worlds: Sequence[World]) -> tuple[str, list[float]]:
    if len(worlds) > 1:
        raise ConfigError(f"`sweep` turns a knob of one world: got {len(worlds)} worlds. Name one in `world`.")
    return choose_sweep(text, worlds[0])


def _folder_name(worlds: Sequence[World]) -> str:
    """Of one world its name, without what a file system may not like."""
    if len(worlds) > 1:
        return "compare-worlds"
    return "compare-world-" + "".join(
        letter if letter.isalnum() or letter in "._-" else "_" for letter in worlds[0].name
    )


def _write_plan(folder: Path, options: WorldOptions, settings: Mapping[str, Setting]) -> None:
    """Say what the folder is for. Runs are known by what they compute, so it may hold several comparisons of worlds.

    Raises:
        RunFolderError: it holds training runs.
    """
    path = folder / PLAN
    if path.exists():
        try:
            is_ours = _KIND in json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            is_ours = False
        if not is_ours:
            raise RunFolderError(f"{folder} holds a comparison of training runs. Choose another `output_dir`.")
    plan = {
        _KIND: options.world,
        "sweep": options.sweep,
        "methods": {
            name: {"method": setting.method.name, **setting.options} for name, setting in settings.items()
        },
        "seeds": options.seeds,
        "learning_rates": options.learning_rates,
        "baseline": options.baseline,
    }  # fmt: skip
    write_text(path, json.dumps(plan, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def _progress(console: Console, rows: int, seeds: int) -> Iterator[Callable[[WorldRun], None]]:
    """A bar in a terminal, elsewhere a line per world, that counts methods as they are done in a world."""
    done: dict[tuple[str, str], None] = {}
    worlds: dict[str, None] = {}
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=rows)

        def update(run: WorldRun) -> None:
            if run.world not in worlds and not console.is_terminal:
                console.print(f"{run.world}, {counted(seeds, 'seed')} ...", markup=False, highlight=False)
            worlds[run.world] = None
            done[run.world, run.label] = None
            bar.update(task, description=run.world, completed=len(done))

        yield update


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Let Ctrl-C say where the finished runs are."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"Finished runs are kept in {folder}") from interrupt
