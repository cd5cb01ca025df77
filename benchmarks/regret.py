"""Is there a method without regret? Families, consensus and its parts in all worlds of docs/worlds.md.

    python benchmarks/regret.py --folder runs/regret
    python benchmarks/regret.py --folder runs/regret --half tune --seeds 12

Every method runs at its best of three learning rates. What was tuned was tuned on half of the worlds, drawn by
`SPLIT_SEED` before the first run: `--half tune`. The other half, `--half confirm`, only says whether it holds. Prints,
for each world, differences to gdpo with 95 % intervals paired by seed, and for each method what it costs at worst.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from gd2po.comparison.statistics import Estimate
from gd2po.core import METHODS, AdvantageResult, Setting
from gd2po.core.batch import Families, Weights, Whitening
from gd2po.core.methods.base import Method, Range
from gd2po.core.methods.consensus import consensus_advantages
from gd2po.core.tails import tail_weight
from gd2po.diagnosis.verdict.limits import HEAVY_TAIL
from gd2po.report.documents import to_document
from gd2po.runs.files import write_text
from gd2po.worlds import WORLDS
from gd2po.worlds.analysis import SCHEMA, SCHEMA_VERSION, WorldMap, compare_worlds

SPLIT_SEED = 16


def by_tail_weight_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    least_tail: Annotated[float, Range(1, float("inf"))] = HEAVY_TAIL,
    reward_weights: Weights = None,
    reward_families: Families = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """`consensus` in the families whose disagreement has heavy tails in this batch; the others are taken apart.

    Args:
        least_tail: tail weight above which a family stays one.
        whitening: as of `consensus`.
    """
    assert reward_families is not None
    tails = tail_weight(rewards, group_ids, list(map(str, reward_families)), reward_weights=reward_weights)
    labels = [
        str(family) if tails.get(str(family), 0.0) > least_tail else f"{family} {reward}"
        for reward, family in enumerate(reward_families)
    ]
    return consensus_advantages(
        rewards, group_ids, reward_families=labels, reward_weights=reward_weights, whitening=whitening,
        token_counts=token_counts,
    )  # fmt: skip


METHODS["by-tail-weight"] = Method(
    name="by-tail-weight",
    title="consensus where tails are heavy, gdpo elsewhere; tried here and nowhere else",
    source="this benchmark",
    function=by_tail_weight_advantages,
    uses_families=lambda options: True,
)


def _setting(**values: object) -> Setting:
    return Setting.of(values, "benchmarks/regret.py")


SETTINGS = {
    "gdpo": _setting(method="gdpo"),
    "hard": _setting(filtering="hard"),
    "gated": _setting(filtering="hard", conflict_pairs="correlated"),
    "families": _setting(filtering="hard", conflict_pairs="families"),
    "families, ranks": _setting(filtering="hard", conflict_pairs="families", standardisation="rank_partners"),
    "rvpo": _setting(method="rvpo"),
    "consensus": _setting(method="consensus"),
    "- families given": _setting(method="consensus", partners="correlated"),
    "all conflicts": _setting(method="consensus", drop_conflicts="all"),
    "- filter": _setting(method="consensus", drop_conflicts="none"),
    "- ranks": _setting(method="consensus", standardisation="zscore"),
    "- minimum": _setting(method="consensus", combination="mean"),
    "worst case": _setting(method="consensus", combination="minimum", drop_conflicts="none"),
    "uncertainty": _setting(method="consensus", combination="uncertainty"),
    "by tail weight": _setting(method="by-tail-weight"),
}
"""Known methods, consensus, and consensus with a part taken away ("-") or with another in its place."""


def half_of_worlds(half: str) -> list[str]:
    """Names of the worlds of a half: half of the tabular and half of the generalising ones, by the seed."""
    numbers, tune = random.Random(SPLIT_SEED), []
    for policy in ("tabular", "features"):
        names = sorted(name for name, world in WORLDS.items() if world.policy == policy)
        tune += numbers.sample(names, len(names) // 2)
    return [name for name in WORLDS if half == "all" or (name in tune) == (half == "tune")]


def thousandths(estimate: Estimate | None) -> str:
    """The estimate and half the width of its interval; a star where that leaves 0 out."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "0"
    star = "*" if estimate.excludes_zero else ""
    return f"{1000 * estimate.value:+.0f} ± {500 * (estimate.high - estimate.low):.0f}{star}"


def print_worlds(world_map: WorldMap) -> None:
    """A table of worlds x methods: final score and mean score on the way, both against gdpo, in thousandths."""
    print("| world | " + " | ".join(world_map.labels) + " |")
    print("|---" * (len(world_map.labels) + 1) + "|")
    for world in world_map.worlds:
        cells = [f"{thousandths(method.difference)}; {thousandths(method.area_difference)}" for method in world.methods]
        print(f"| {world.name} | " + " | ".join(cells) + " |")


def print_costs(world_map: WorldMap) -> None:
    """A row per method: how often it is above and below gdpo beyond noise, and what it loses to the best at worst."""
    print("\n| method | above gdpo | below | slower | worst | regret at most | worlds with regret |")
    print("|---" * 7 + "|")
    for label in world_map.labels:
        rows = {world.name: row for world in world_map.worlds for row in world.methods if row.label == label}
        differences = {name: row.difference for name, row in rows.items() if row.difference is not None}
        beyond = [estimate for estimate in differences.values() if estimate.excludes_zero]
        slower = [
            row.area_difference
            for row in rows.values()
            if row.area_difference is not None and row.area_difference.excludes_zero and row.area_difference.value < 0
        ]
        worst = min(differences, key=lambda name: differences[name].value, default="")
        largest = max(rows, key=lambda name: rows[name].regret.value)
        regrets = [name for name, row in rows.items() if row.regret.excludes_zero]
        print(
            f"| {label} | {sum(estimate.value > 0 for estimate in beyond)} | "
            f"{sum(estimate.value < 0 for estimate in beyond)} | {len(slower)} | "
            f"{f'{thousandths(differences[worst])} ({worst})' if worst else '0'} | "
            f"{1000 * rows[largest].regret.value:.0f} ({largest}) | {len(regrets)} of {len(rows)} |"
        )


def main() -> None:
    """Compare, print, and write the JSON beside the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("tune", "confirm", "all"), default="all")
    parser.add_argument("--worlds", help="names, separated by commas, in place of a half")
    parser.add_argument("--methods", help="names in `SETTINGS`, separated by semicolons; all by default")
    parser.add_argument("--seeds", type=int, default=24, help="how many")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept and found again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.worlds.split(",") if options.worlds else half_of_worlds(options.half)
    chosen = options.methods.split(";") if options.methods else list(SETTINGS)
    world_map = compare_worlds(
        [WORLDS[name] for name in names],
        {label: SETTINGS[label] for label in chosen},
        range(options.seeds),
        folder=options.folder,
    )
    print_worlds(world_map)
    print_costs(world_map)
    write_text(options.folder / f"{'-'.join(names)[:60]}.json", to_document(SCHEMA, SCHEMA_VERSION, world_map))


if __name__ == "__main__":
    main()
