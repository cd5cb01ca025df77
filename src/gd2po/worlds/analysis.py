"""From runs to a map: each method at its best learning rate, its difference to a baseline, its regret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from gd2po.comparison.statistics import Estimate, mean_over_seeds, means_over_seeds
from gd2po.core import Setting
from gd2po.core.setting import labelled
from gd2po.errors import InvalidInputError, did_you_mean
from gd2po.worlds.declaration import World
from gd2po.worlds.knobs import variants
from gd2po.worlds.simulation import WorldRun
from gd2po.worlds.store import SettingOf, run_all

SCHEMA, SCHEMA_VERSION = "gd2po-worlds", 1
"""Of the JSON of a `WorldMap`, by `gd2po.report.documents.to_document`."""


@dataclass(frozen=True)
class MethodInWorld:
    """One method in one world, at the learning rate at which its mean final score is highest."""

    label: str
    learning_rate: float
    final_by_learning_rate: dict[str, float]
    """Mean final score at each learning rate of the grid: what the choice was made on."""
    at_edge: bool
    """Whether the chosen learning rate is the lowest or highest of several: a better one may lie outside."""
    final: Estimate
    """The expected true score at the end."""
    gain: Estimate
    """The same, less the score at the start."""
    difference: Estimate | None
    """Of final scores to the baseline, paired by seed; None for the baseline itself."""
    area: Estimate
    """Mean score on the way."""
    area_difference: Estimate | None
    regret: Estimate
    """What is lost to the best method of the world, paired by seed; 0 for the best itself."""
    score_curve: list[Estimate]
    """At the evaluated steps of the world."""
    kl: Estimate
    """From the start policy, in nats, at the end."""
    kl_curve: list[Estimate]
    """At the evaluated steps."""
    proxy_gain: Estimate
    """What the weighted sum of the expected rewards has gained: what training saw."""
    seed_differences: dict[int, float]
    """What `difference` is the mean of; empty for the baseline."""


@dataclass(frozen=True)
class WorldNumbers:
    """One world, all methods."""

    name: str
    title: str
    rewards: list[str]
    families: list[str]
    steps: list[int]
    """At which the curves were evaluated."""
    best: str
    """The method with the highest mean final score. With several alike it is chance which."""
    methods: list[MethodInWorld]


@dataclass(frozen=True)
class WorldMap:
    """Worlds x methods."""

    version: str
    """Of gd2po."""
    baseline: str
    seeds: list[int]
    labels: list[str]
    knob: str | None
    """Of a sweep: what is turned from world to world; None where the worlds are different ones."""
    values: list[float]
    """Of the knob, one per world; empty where there is none."""
    worlds: list[WorldNumbers]
    largest_regret: dict[str, float]
    """By method: its highest mean regret in any world, each world in the unit of its own score."""


def compare_worlds(
    worlds: Iterable[World],
    settings: Sequence[Setting] | Mapping[str, SettingOf],
    seeds: Sequence[int],
    learning_rates: Sequence[float] | None = None,
    baseline: str = "gdpo",
    *,
    folder: str | Path | None = None,
    progress: Callable[[WorldRun], object] | None = None,
) -> WorldMap:
    """Settings compared in worlds.

    Args:
        worlds: of different names.
        settings: as of `run_all`.
        seeds: the same for all; intervals are over them.
        learning_rates: the grid for every method and world; None: each world's own.
        baseline: label of the setting that the others are compared with.
        folder: where runs are kept and found again.
        progress: called with every run.

    Raises:
        InvalidInputError: the baseline is not among the settings, or as of `run_all`.

    Example:
        >>> from gd2po.worlds import WORLDS
        >>> settings = [Setting.named(label, "example") for label in ("gdpo", "gd2po-hard")]
        >>> world_map = compare_worlds([WORLDS["binary-trade-off"]], settings, seeds=range(3), learning_rates=[1.0])
        >>> hard = world_map.worlds[0].methods[1]
        >>> hard.difference.value < -0.1
        True
    """
    worlds, seeds = list(worlds), list(seeds)
    labels = list(labelled(settings))
    if baseline not in labels:
        raise InvalidInputError(
            f"`baseline` must be the label of a setting: got {baseline!r}. {did_you_mean(baseline, labels)}"
        )
    runs = run_all(worlds, settings, seeds, learning_rates, folder, progress)
    return map_of(worlds, runs, baseline)


def sweep(
    world: World,
    knob: str,
    values: Sequence[float],
    settings: Sequence[Setting] | Mapping[str, SettingOf],
    seeds: Sequence[int],
    learning_rates: Sequence[float] | None = None,
    baseline: str = "gdpo",
    *,
    folder: str | Path | None = None,
    progress: Callable[[WorldRun], object] | None = None,
) -> WorldMap:
    """Settings compared in one world at several values of a knob; `gd2po.worlds.knobs` says what knobs there are.

    Args:
        world: to turn a knob of.
        knob: as "rare_gross.size", "group_size" or "grader.copies".
        values: of the knob, a world each.
        settings: as of `run_all`, like everything below.
        seeds: the same at every value, with the same draws behind them.
        learning_rates: the grid.
        baseline: label of a setting.
        folder: where runs are kept.
        progress: called with every run.

    Raises:
        ConfigError: the world has no such knob; names the nearest.
        InvalidInputError: the knob does not take a value, or as of `compare_worlds`.
    """
    turned = variants(world, knob, values)
    world_map = compare_worlds(turned, settings, seeds, learning_rates, baseline, folder=folder, progress=progress)
    return replace(world_map, knob=knob, values=list(values))


def map_of(worlds: Sequence[World], runs: Sequence[WorldRun], baseline: str) -> WorldMap:
    """The map that runs of one set of seeds amount to.

    Args:
        worlds: in the order of the map.
        runs: of these worlds, the baseline among them in each.
        baseline: its label.
    """
    numbers = [_world(world, [run for run in runs if run.world == world.name], baseline) for world in worlds]
    labels = list(dict.fromkeys(run.label for run in runs))
    regrets = {
        label: max(method.regret.value for world in numbers for method in world.methods if method.label == label)
        for label in labels
    }
    return WorldMap(
        version=metadata.version("gd2po"),
        baseline=baseline,
        seeds=list(runs[0].seeds),
        labels=labels,
        knob=None,
        values=[],
        worlds=numbers,
        largest_regret=regrets,
    )


def _world(world: World, runs: Sequence[WorldRun], baseline: str) -> WorldNumbers:
    by_label: dict[str, list[WorldRun]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    chosen = {label: max(tried, key=lambda run: _mean(run.final)) for label, tried in by_label.items()}
    best = max(chosen.values(), key=lambda run: _mean(run.final))
    return WorldNumbers(
        name=world.name,
        title=world.title,
        rewards=[reward.name for reward in world.all_rewards],
        families=list(world.families),
        steps=list(best.steps),
        best=best.label,
        methods=[_method(world, chosen[label], tried, chosen[baseline], best) for label, tried in by_label.items()],
    )


def _method(
    world: World, run: WorldRun, tried: Sequence[WorldRun], baseline: WorldRun, best: WorldRun
) -> MethodInWorld:
    is_baseline = run.label == baseline.label
    rates = sorted(other.learning_rate for other in tried)
    differences = _paired(run.final, baseline.final)
    return MethodInWorld(
        label=run.label,
        learning_rate=run.learning_rate,
        final_by_learning_rate={f"{other.learning_rate:g}": _mean(other.final) for other in tried},
        at_edge=len(rates) > 1 and run.learning_rate in (rates[0], rates[-1]),
        final=mean_over_seeds(run.final),
        gain=mean_over_seeds(run.gain),
        difference=None if is_baseline else mean_over_seeds(differences),
        area=mean_over_seeds(run.area),
        area_difference=None if is_baseline else mean_over_seeds(_paired(run.area, baseline.area)),
        regret=mean_over_seeds(_paired(best.final, run.final)),
        score_curve=means_over_seeds(run.score),
        kl=mean_over_seeds(run.kl),
        kl_curve=means_over_seeds(run.kl_curve),
        proxy_gain=mean_over_seeds(_proxy_gains(world, run)),
        seed_differences={} if is_baseline else dict(zip(run.seeds, differences, strict=True)),
    )


def _proxy_gains(world: World, run: WorldRun) -> list[float]:
    return [
        sum(weight * gain for weight, gain in zip(world.reward_weights, _paired(after, before), strict=True))
        for before, after in zip(run.rewards_before, run.rewards_after, strict=True)
    ]


def _paired(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
