"""Tables from the runs of `fleet.py`, and whether simulated worlds predict their order.

    python benchmarks/fleet_tables.py fleet.jsonl
    python benchmarks/fleet_tables.py fleet.jsonl --overview [--score exact_calls]
    python benchmarks/fleet_tables.py fleet.jsonl --curves
    python benchmarks/fleet_tables.py fleet.jsonl --worlds runs/worlds/worlds.json

The last takes the JSON that `worlds.py --folder` writes, for worlds of the settings' names and the same methods.
Intervals and what counts as beyond noise are those of `gd2po compare`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gd2po.comparison.statistics import Estimate, mean_over_seeds
from gd2po.core import Setting
from gd2po.core.setting import all_labels

GOLD = "answer_quality"
BASELINE = "gdpo"
WORLD_OF = {"trade-off": "binary-trade-off"}
"""Where a setting is not called what its world is."""
SCORES = {"mixed3": {GOLD: 2 / 3, "think_length": 1 / 3}}
"""What counts in a setting, where it is not quality alone; for the comparison with its world."""
Runs = Mapping[tuple[str, str], Mapping[int, dict[str, Any]]]
"""By setting and method, then by seed."""


def read(paths: Sequence[Path]) -> dict[tuple[str, str], dict[int, dict[str, Any]]]:
    """All runs of some files."""
    runs: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            run = json.loads(line)
            runs.setdefault((run["setting"], run["method"]), {})[run["seed"]] = run
    return runs


def at_end(run: Mapping[str, Any], name: str = GOLD) -> float:
    """A held-out score after training."""
    return float(run["evaluations"][-1][name])


def score(setting: str, run: Mapping[str, Any]) -> float:
    """What counts in a setting, after training."""
    return sum(weight * at_end(run, name) for name, weight in SCORES.get(setting, {GOLD: 1.0}).items())


def late(run: Mapping[str, Any], name: str) -> float:
    """A mean over the sampled answers to the training prompts in the last sixth of the run."""
    values = run["curve"][name]
    return float(np.mean(values[-max(1, len(values) // 6) :]))


def difference(runs: Runs, setting: str, method: str, name: str = GOLD) -> Estimate:
    """Of held-out scores to the baseline, paired by seed."""
    base, own = runs[setting, BASELINE], runs[setting, method]
    return mean_over_seeds([at_end(own[seed], name) - at_end(base[seed], name) for seed in own if seed in base])


def shown(estimate: Estimate, *, signed: bool = False) -> str:
    """A number with its interval, bold where a difference is beyond noise."""
    sign = "+" if signed else ""
    low, high = estimate.low or estimate.value, estimate.high or estimate.value
    text = f"{estimate.value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]".replace("-", "−")
    return f"**{text}**" if signed and estimate.beyond_noise else text


def print_settings(runs: Runs) -> None:
    """A table per setting."""
    for setting in dict.fromkeys(setting for setting, _ in runs):
        methods = [method for other, method in runs if other == setting]
        some = next(iter(runs[setting, methods[0]].values()))
        start = some["evaluations"][0]
        says = [name for name in start if name.startswith("says")]
        extra = [name for name in some["rewards"] if not name.startswith("judge")]
        seeds, exact = len(runs[setting, methods[0]]), 100 * start["exact_calls"]
        print(f"\n### {setting}: {seeds} seeds, {some['steps']} steps; start {start[GOLD]:.3f}, exact {exact:.1f} %")
        print("| method | quality | to gdpo | best on the way | exact calls | rewards' gain | trained on: quality | "
              + "".join(f"{name} | " for name in [*says, *extra]) + "conflicts | kept |")  # fmt: skip
        print("|---|---|---|---|---|---|---|" + "---|" * len([*says, *extra]) + "---|---|")
        for method in methods:
            own = list(runs[setting, method].values())
            gain = np.mean(
                [sum(at_end(run, name) - run["evaluations"][0][name] for name in run["rewards"]) for run in own]
            )
            best = np.mean([[entry[GOLD] for entry in run["evaluations"]] for run in own], 0).max()
            cells = [
                method, shown(mean_over_seeds([at_end(run) for run in own])),
                "" if method == BASELINE else shown(difference(runs, setting, method), signed=True), f"{best:.3f}",
                f"{100 * np.mean([at_end(run, 'exact_calls') for run in own]):.1f} %", f"{gain:+.2f}",
                f"{np.mean([late(run, GOLD) for run in own]):.3f}",
                *(f"{100 * np.mean([at_end(run, name) for run in own]):.0f} %" for name in says),
                *(f"{np.mean([at_end(run, name) for run in own]):.3f}" for name in extra),
                f"{100 * np.mean([np.mean(run['curve']['conflicts']) for run in own]):.0f} %",
                f"{100 * np.mean([np.mean(run['curve']['kept']) for run in own]):.0f} %",
            ]  # fmt: skip
            print(f"| {' | '.join(cells)} |")


def print_overview(runs: Runs, name: str) -> None:
    """One table of a score: the baseline's, and differences to it with half the width of their intervals."""
    settings = list(dict.fromkeys(setting for setting, _ in runs))
    print("| method | " + " | ".join(settings) + " |\n|---" * 1 + "|---" * len(settings) + "|")
    for method in dict.fromkeys(method for _, method in runs):
        cells = []
        for setting in settings:
            if method == BASELINE:
                cells.append(_half(mean_over_seeds([at_end(run, name) for run in runs[setting, method].values()]), ""))
            else:
                cells.append(_half(difference(runs, setting, method, name), "+"))
        print(f"| {method} | {' | '.join(cells)} |")


def _half(estimate: Estimate, sign: str) -> str:
    """A number and half the width of its interval; bold where a difference is beyond noise."""
    half = ((estimate.high or estimate.value) - (estimate.low or estimate.value)) / 2
    text = f"{estimate.value:{sign}.3f} ± {half:.3f}".replace("-", "−")
    return f"**{text}**" if sign and estimate.beyond_noise else text


def print_curves(runs: Runs, windows: int = 6) -> None:
    """Training reward and gold over the run, sampled on the training prompts: means of windows of steps."""
    for (setting, method), own in runs.items():
        names = next(iter(own.values()))["rewards"]
        reward = np.mean([np.sum([run["curve"][name] for name in names], 0) for run in own.values()], 0)
        gold = np.mean([run["curve"][GOLD] for run in own.values()], 0)
        parts = [np.array_split(values, windows) for values in (reward, gold)]
        cells = [f"{a.mean():.2f} / {b.mean():.3f}" for a, b in zip(*parts, strict=True)]
        held_out = np.mean([[entry[GOLD] for entry in run["evaluations"]] for run in own.values()], 0)
        print(f"| {setting} | {method} | {' | '.join(cells)} | {', '.join(f'{value:.3f}' for value in held_out)} |")


def mid_ranks(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Ranks along the last axis; ties share theirs."""
    return (values[..., None] > values[..., None, :]).sum(-1) + (values[..., None] == values[..., None, :]).sum(-1) / 2


def spearman(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rank correlation along the last axis."""
    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (mid_ranks(one), mid_ranks(other)))
    return np.asarray((a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1)))


def resampled(scores: np.ndarray[Any, Any], rng: np.random.Generator, times: int) -> np.ndarray[Any, Any]:
    """Means over seeds (times, M) of scores (seeds, M), the first of them the one that was seen."""
    rows = rng.integers(len(scores), size=(times, len(scores)))
    rows[0] = np.arange(len(scores))
    return np.asarray(scores[rows].mean(1))


@dataclass(frozen=True)
class Pair:
    """A setting and the world it is named after: differences to the baseline (seeds, methods) in both."""

    setting: str
    world: str
    labels: list[str]
    simulated: np.ndarray[Any, Any]
    trained: np.ndarray[Any, Any]


def pairs_of(runs: Runs, path: Path) -> list[Pair]:
    """Every setting that has a world, with the methods that were run in both."""
    worlds = {world["name"]: world for world in json.loads(path.read_text(encoding="utf-8"))["worlds"]}
    found = []
    for setting in dict.fromkeys(setting for setting, _ in runs):
        world = worlds.get(WORLD_OF.get(setting, setting))
        if world is None:
            continue
        by_label = {method["label"]: method["seed_differences"] for method in world["methods"]}
        labels = [
            method for other, method in runs if other == setting and method != BASELINE and _label(method) in by_label
        ]
        simulated = np.array([list(by_label[_label(method)].values()) for method in labels]).T
        base = runs[setting, BASELINE]
        trained = np.array([
            [score(setting, runs[setting, method][seed]) - score(setting, base[seed]) for method in labels]
            for seed in base
        ])  # fmt: skip
        found.append(Pair(setting, world["name"], labels, simulated, trained))
    return found


def _label(method: str) -> str:
    """What a world's table calls a method; one with options of its own has the same name there."""
    return Setting.named(method, "runs").label if method in all_labels() else method


def print_ranks(runs: Runs, path: Path, times: int = 10_000) -> None:
    """Rank correlation of methods, worlds against runs, with bootstrap intervals over the seeds of both."""
    rng = np.random.default_rng(0)
    print("\n| setting | world | rank correlation | differences beyond noise in both | of these with the same sign |")
    print("|---|---|---|---|---|")
    rows, simulated, trained, both, same = [], [], [], 0, 0
    for pair in pairs_of(runs, path):
        in_world, in_runs = (resampled(values, rng, times) for values in (pair.simulated, pair.trained))
        zero = np.zeros((times, 1))  # the baseline has its rank too
        rows.append(spearman(np.hstack([in_world, zero]), np.hstack([in_runs, zero])))
        simulated.append(in_world)
        trained.append(in_runs)
        clear = [
            (mean_over_seeds(one), mean_over_seeds(other))
            for one, other in zip(pair.simulated.T.tolist(), pair.trained.T.tolist(), strict=True)
        ]
        signs = [
            (one.value > 0) == (other.value > 0) for one, other in clear if one.beyond_noise and other.beyond_noise
        ]
        both, same = both + len(signs), same + sum(signs)
        print(f"| {pair.setting} | {pair.world} | {_correlation(rows[-1])} | {len(signs)} | {sum(signs)} |")
    pooled = spearman(np.hstack(simulated), np.hstack(trained))
    print(f"| mean | | {_correlation(np.mean(rows, 0))} | {both} | {same} |")
    print(f"| all {np.hstack(simulated).shape[1]} differences to {BASELINE} at once | | {_correlation(pooled)} | | |")


def _correlation(values: np.ndarray[Any, Any]) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{values[0]:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="files that fleet.py wrote")
    parser.add_argument("--overview", action="store_true", help="one table of all settings instead")
    parser.add_argument("--score", default=GOLD, help="of the overview (default: %(default)s)")
    parser.add_argument("--curves", action="store_true", help="training reward / quality over the run instead")
    parser.add_argument("--worlds", type=Path, help="JSON of the simulated worlds: the rank correlations instead")
    options = parser.parse_args()
    runs = read(options.runs)
    if options.overview:
        print_overview(runs, options.score)
    elif options.curves:
        print_curves(runs)
    elif options.worlds:
        print_ranks(runs, options.worlds)
    else:
        print_settings(runs)


if __name__ == "__main__":
    main()
