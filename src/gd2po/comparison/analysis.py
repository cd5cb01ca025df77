"""From runs to a comparison: means, intervals and paired differences over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

from gd2po.comparison.findings import findings_of, headline_of
from gd2po.comparison.model import Comparison, CurvePoint, FailedRun, MethodNumbers, Reached
from gd2po.comparison.results import Run, metrics_of, shares_of
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.statistics import Estimate, mean_over_seeds, steps_to_target
from gd2po.errors import ConfigError, did_you_mean

TARGET_SHARE = 0.8
"""Of the baseline's gain in a score: the target, unless one is named."""


def compare(plan: Plan, runs: Sequence[Run], targets: Mapping[str, float] | None = None) -> Comparison:
    """The comparison that finished runs amount to.

    Args:
        plan: what was compared.
        runs: of the plan; those without numbers are reported as such.
        targets: score by metric for `steps_to_target`; for others it is the start and 80 % of the baseline's gain.

    Raises:
        ConfigError: a target for a metric that no run has.
    """
    done = [run for run in runs if run.status == "done"]
    metrics, shares = metrics_of(done), shares_of(done)
    unknown = sorted(set(targets or {}) - set(metrics))
    if unknown and done:
        raise ConfigError(f"`targets`: there is no score {unknown[0]!r}. {did_you_mean(unknown[0], metrics)}")
    aims = {metric: _target(metric, plan.baseline, done) for metric in metrics} | dict(targets or {})
    methods = [_method(name, plan, runs, metrics, aims) for name in plan.methods]
    same_prompts = all(
        len({run.prompts_digest for run in done if run.seed == seed}) <= 1 for seed in plan.seeds
    )  # fmt: skip
    return Comparison(
        version=metadata.version("gd2po"),
        config=plan.config,
        arguments=plan.arguments,
        seeds=plan.seeds,
        steps=plan.steps,
        eval_every=plan.eval_every,
        eval_prompts=int(plan.settings.get("eval_prompts", 0)),
        rollouts_per_step=_mean([run.rollouts_per_step for run in done]),
        threads=plan.threads,
        baseline=plan.baseline,
        metrics=metrics,
        shares=shares,
        targets=aims,
        same_prompts=same_prompts,
        headline=headline_of(methods, metrics, plan.baseline),
        findings=findings_of(methods, metrics, shares, plan.baseline, same_prompts),
        methods=methods,
    )


def _target(metric: str, baseline: str, done: Sequence[Run]) -> float | None:
    """The start and most of what the baseline gains on it."""
    runs = [run for run in done if run.method == baseline]
    start = _mean([run.curve[0][1].get(metric) for run in runs if run.curve])
    end = _mean([run.final.get(metric) for run in runs])
    if start is None or end is None or end <= start:
        return None
    return start + TARGET_SHARE * (end - start)


def _method(
    name: str, plan: Plan, runs: Sequence[Run], metrics: Sequence[str], targets: Mapping[str, float | None]
) -> MethodNumbers:
    own = [run for run in runs if run.method == name]
    done = [run for run in own if run.status == "done"]
    baseline = {run.seed: run for run in runs if run.method == plan.baseline and run.status == "done"}
    pairs = [(run, baseline[run.seed]) for run in done if run.seed in baseline and name != plan.baseline]
    differences: dict[str, dict[int, float]] = {}
    for metric in metrics:
        for run, other in pairs:
            value, reference = run.final.get(metric), other.final.get(metric)
            if value is not None and reference is not None:
                differences.setdefault(metric, {})[run.seed] = value - reference
    filters = [run.filter or {} for run in done]
    kept = [1 - values["filtered_rate"] for values in filters if "filtered_rate" in values]
    return MethodNumbers(
        name=name,
        overrides=plan.methods[name],
        seeds=[run.seed for run in done],
        failed=[FailedRun(run.seed, run.error or "") for run in own if run.status == "failed"],
        curves={metric: _curve(done, metric) for metric in metrics},
        final=_estimates(metrics, lambda metric: [run.final.get(metric) for run in done]),
        difference=_estimates(metrics, lambda metric: list(differences.get(metric, {}).values())),
        seed_differences=differences,
        steps_to_target={
            metric: _reached(done, metric, target) for metric, target in targets.items() if target is not None and done
        },
        keep_rate=_mean(kept),
        conflict_rate=_mean([values.get("rate") for values in filters]),
        snr_threshold=_mean([values.get("snr_threshold") for values in filters]),
        retained=_means_below("retained/", filters),
        retained_negative=_means_below("retained_negative/", filters),
        correlation=_means_below("correlation/", filters),
        seconds_per_step=_mean([run.seconds_per_step for run in done]),
        tokens_per_step=_mean([run.tokens_per_step for run in done]),
    )


def _curve(done: Sequence[Run], metric: str) -> list[CurvePoint]:
    by_step: dict[int, list[float]] = {}
    for run in done:
        for step, values in run.curve:
            value = values.get(metric)
            if value is not None:
                by_step.setdefault(step, []).append(value)
    return [CurvePoint(step, mean_over_seeds(values)) for step, values in sorted(by_step.items())]


def _estimates(metrics: Sequence[str], values_of: Callable[[str], list[float | None]]) -> dict[str, Estimate]:
    found = {metric: [value for value in values_of(metric) if value is not None] for metric in metrics}
    return {metric: mean_over_seeds(values) for metric, values in found.items() if values}


def _reached(done: Sequence[Run], metric: str, target: float) -> Reached:
    steps = [steps_to_target([(step, values.get(metric)) for step, values in run.curve], target) for run in done]
    ordered = sorted(step if step is not None else float("inf") for step in steps)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return Reached(sum(step is not None for step in steps), len(steps), None if middle == float("inf") else middle)


def _means_below(prefix: str, filters: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over the runs of the metrics under a prefix, by the rest of their names."""
    names = dict.fromkeys(key for values in filters for key in values if key.startswith(prefix))
    means = {name.removeprefix(prefix): _mean([values.get(name) for values in filters]) for name in names}
    return {name: mean for name, mean in means.items() if mean is not None}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
