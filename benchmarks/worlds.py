"""The map of docs/worlds.md: methods in simulated worlds with known truth.

    python benchmarks/worlds.py --folder runs/worlds
    python benchmarks/worlds.py --worlds spiky3,mixed3 --methods gdpo,gd2po-hard,gd2po-auto --seeds 100

Prints differences to the first method, regrets, learning rates, and the processor seconds that each method took in each
world. Runs in the folder are not run again, and cost nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console

from gd2po.core import Setting
from gd2po.report.documents import to_document
from gd2po.runs.files import write_text
from gd2po.worlds import WORLDS, WorldRun
from gd2po.worlds.analysis import SCHEMA, SCHEMA_VERSION, compare_worlds
from gd2po.worlds.views import print_map

METHODS = "gdpo,grpo,gd2po-hard,gd2po-gated"


class Clock:
    """Processor seconds between runs, by world and method."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self._last = time.process_time()

    def __call__(self, run: WorldRun) -> None:
        """Book the time since the last run on this one."""
        now, key = time.process_time(), (run.world, run.label)
        self.seconds[key] = self.seconds.get(key, 0.0) + now - self._last
        self._last = now


def main() -> None:
    """Compare, print, and write the JSON beside the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(WORLDS), help="names, separated by commas")
    parser.add_argument("--methods", default=METHODS, help="labels, separated by commas; the first is the baseline")
    parser.add_argument("--seeds", type=int, default=24, help="how many")
    parser.add_argument("--learning-rates", help="numbers, separated by commas, for all worlds")
    parser.add_argument("--folder", type=Path, help="where runs are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = [Setting.named(label, "--methods") for label in options.methods.split(",")]
    labels, clock = [setting.label for setting in settings], Clock()
    world_map = compare_worlds(
        [WORLDS[name] for name in options.worlds.split(",")],
        settings,
        range(options.seeds),
        [float(rate) for rate in options.learning_rates.split(",")] if options.learning_rates else None,
        labels[0],
        folder=options.folder,
        progress=clock,
    )
    print_map(world_map, Console(width=max(100, 20 + 22 * len(labels))))
    if options.folder is not None:
        write_text(options.folder / "worlds.json", to_document(SCHEMA, SCHEMA_VERSION, world_map))
    print("Processor seconds, all learning rates")
    for world in world_map.worlds:
        print(f"{world.name:22}", *(f"{label} {clock.seconds[world.name, label]:.1f}" for label in labels))
    print(f"{sum(clock.seconds.values()):.0f} s in all")


if __name__ == "__main__":
    main()
