"""From sums to the sections of a diagnosis: plain numbers by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gd2po.core import METHODS, Setting, binary_snr_ceiling
from gd2po.diagnosis.model import (
    Course,
    Explorer,
    OverallNumbers,
    PairKind,
    PairNumbers,
    RewardNumbers,
    Run,
    Source,
    WeightsOrigin,
)
from gd2po.diagnosis.numbers.batch import Floats
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.numbers.sums import MOST_DISTINCT, THRESHOLDS, Sums, pairs_of, threshold_index
from gd2po.diagnosis.numbers.weights import StepWeights
from gd2po.logs.reward_log import RewardLog
from gd2po.runs.settings import RunSettings, plain_values

MOST_POINTS = 200
"""Points of a curve over the steps."""

SNR_BINS = 20

_EXPLORED = (
    "filtering", "snr_threshold", "snr_eps", "min_retained", "query_reweighting", "query_weight_in",
    "scale_rewards", "whitening",
)  # fmt: skip
"""Options of GD²PO with any of which the explorer shows what its filter drops."""


def source_section(
    log: RewardLog,
    sums: Sums,
    steps: dict[str, Floats],
    *,
    settings: RunSettings,
    weights_origin: WeightsOrigin,
    notes: Sequence[str],
) -> Source:
    """Where the numbers come from.

    Args:
        log: once it has been read.
        sums: of it.
        steps: sums of each step.
        settings: of the run that wrote it.
        weights_origin: of the rewards' weights.
        notes: what there is to say beside the log's own notes.
    """
    sizes = sorted(sums.group_sizes.items(), key=lambda item: (-item[1], item[0]))
    setting = settings.setting
    return Source(
        path=log.files.source,
        format=log.layout.dialect.title,
        files=len(log.files.paths),
        rollouts=sums.num_rollouts,
        groups=sums.blocks.num_groups,
        single_rollout_groups=sums.group_sizes.get(1, 0),
        group_sizes=dict(sizes[:10]),
        steps=len(steps["step"]),
        first_step=int(steps["step"][0]),
        last_step=int(steps["step"][-1]),
        skipped_rows=log.bad_rows.count,
        notes=[*log.notes(), *notes],
        run=(
            None
            if setting is None or settings.origin is None
            else Run(
                setting.label,
                setting.method.name,
                plain_values(setting.resolved),
                settings.origin,
                [] if settings.reward_conditions is None else settings.reward_conditions.plain(),
            )
        ),
        weights_origin=weights_origin,
    )


def rewards_section(
    names: Sequence[str], weights: StepWeights, sums: Sums, steps: dict[str, Floats], estimates: Estimates
) -> list[RewardNumbers]:
    """The numbers of each reward."""
    by_step = weights.over(steps["step"])
    quarter = -(-len(steps["step"]) // 4)  # at least one step
    first, last, every = slice(None, quarter), slice(-quarter, None), slice(None)
    constant = estimates.constant_groups
    rewards = []
    for k, name in enumerate(names):

        def share(part: str, whole: str, where: slice, k: int = k) -> float | None:
            return _quotient(steps[part][where, k].sum(), steps[whole][where, k].sum())

        applies = steps["applies"][:, k].sum() > 0
        with_spread = estimates.total("scored_groups")[k]
        rewards.append(
            RewardNumbers(
                name=name,
                weight=float(by_step[0, k]) if _same(by_step[:, k]) else float(by_step[:, k].mean()),
                weight_range=None if _same(by_step[:, k]) else (float(by_step[:, k].min()), float(by_step[:, k].max())),
                applies=_quotient(estimates.total("applies")[k], sums.num_rollouts) or 0.0,
                mean=share("reward", "applies", every),
                first_mean=share("reward", "applies", first),
                last_mean=share("reward", "applies", last),
                lowest=float(steps["lowest"][:, k].min()) if applies else None,
                highest=float(steps["highest"][:, k].max()) if applies else None,
                distinct_values=len(sums.distinct[k]) if len(sums.distinct[k]) <= MOST_DISTINCT else None,
                spread=_quotient(estimates.total("spread")[k], with_spread),
                constant_groups=estimates.interval(constant[:, k]),
                constant_groups_last=share("constant_groups", "scored_groups", last),
                at_highest=share("at_highest", "applies", every),
                at_highest_last=share("at_highest", "applies", last),
                at_lowest=share("at_lowest", "applies", every),
                at_lowest_last=share("at_lowest", "applies", last),
            )
        )
    return rewards


def pairs_section(names: Sequence[str], kinds: Sequence[PairKind], estimates: Estimates) -> list[PairNumbers]:
    """The numbers of each pair of rewards."""
    rates = estimates.intervals(estimates.pair_conflict_rate)
    correlations = estimates.intervals(estimates.correlation)
    pairs = zip(pairs_of(len(names)), rates, correlations, kinds, strict=True)
    return [PairNumbers((names[j], names[k]), rate, correlation, kind) for (j, k), rate, correlation, kind in pairs]


def overall_section(estimates: Estimates) -> OverallNumbers:
    """The numbers of all rewards together."""
    return OverallNumbers(
        conflict_rate=estimates.interval(estimates.conflict_rate),
        cancellation=estimates.interval(estimates.cancellation),
        snr_mean=_none_if_nan(estimates.statistic("snr_mean")[0, 0]),
        zero_signal_groups=float(estimates.zero_signal_rate[0]),
        zero_sum_groups=float(estimates.zero_signal_rate[0] + estimates.wrongly_dropped_rate[0]),
        wrongly_dropped_groups=round(estimates.total("sum_cancelled_groups")[0]),
        wrongly_dropped_share=estimates.interval(estimates.wrongly_dropped_rate),
    )


def run_threshold(run: Setting | None) -> float | None:
    """The threshold of the run's filter, if the explorer shows what that filter does.

    Example:
        >>> run_threshold(Setting.named("gd2po-hard", "example")), run_threshold(Setting.named("gd2po-auto", "example"))
        (1.0, None)
    """
    if run is None or run.method is not METHODS["gd2po"]:
        return None
    options = plain_values(run.resolved)
    if any(options[name] != option.default for name, option in run.method.options.items() if name not in _EXPLORED):
        return None  # other rollouts conflict than in the explorer, as those of a gated run do
    threshold = {"none": 0.0, "hard": 1.0}.get(options["filtering"], options["snr_threshold"])
    return threshold if threshold != "auto" and threshold > 0 else None


def explorer_section(
    rewards: Sequence[RewardNumbers], sums: Sums, estimates: Estimates, settings: RunSettings
) -> Explorer:
    """What every threshold would do; the run's own is marked, or the method's default."""
    names, run = [reward.name for reward in rewards], settings.setting

    def by_reward(values: Floats) -> dict[str, list[float | None]]:
        return {name: [_none_if_nan(value) for value in values[0, :, k]] for k, name in enumerate(names)}

    conflicts = estimates.dropped[0]
    stride = (len(THRESHOLDS) - 1) // SNR_BINS
    edges = THRESHOLDS[::stride]
    # A score belongs to the first threshold above it, so the counts up to two thresholds differ by what lies between.
    counts = np.diff(conflicts[::stride])
    active = [k for k, reward in enumerate(rewards) if reward.counts]
    # The ceiling is for equal weights, and conditions may add a value.
    as_given = settings.reward_conditions is None and all(reward.weight_range is None for reward in rewards)
    binary = as_given and all(len(sums.distinct[k]) == 2 for k in active)
    largest_group = max(sums.group_sizes)
    defaults = METHODS["gd2po"].options
    own = run_threshold(run)
    marked = defaults["snr_threshold"].default if own is None else own
    min_retained = defaults["min_retained"].default if run is None else run.resolved.get("min_retained")
    min_retained = defaults["min_retained"].default if min_retained is None else min_retained
    return Explorer(
        thresholds=THRESHOLDS.tolist(),
        keep_rate=(1 - np.nan_to_num(estimates.filtered_rate[0])).tolist(),
        retained=by_reward(estimates.retained),
        retained_negative=by_reward(estimates.retained_negative),
        snr_edges=edges.tolist(),
        snr_counts=[round(count) for count in counts],
        agreeing=round(estimates.total("rollouts")[0] - conflicts[-1]),
        marked_threshold=float(THRESHOLDS[threshold_index(marked)]),
        marked_is_run=own is not None,
        recommended_threshold=float(estimates.largest_threshold(min_retained)[0]),
        min_retained=min_retained,
        largest_conflict_snr=sums.largest_snr,
        binary_snr_ceiling=(
            binary_snr_ceiling(len(active), largest_group) if binary and len(active) > 1 and largest_group > 1 else None
        ),
    )


def course_section(names: Sequence[str], steps: dict[str, Floats]) -> Course:
    """Numbers over the steps."""
    count = len(steps["step"])
    starts = np.unique(np.linspace(0, count, min(count, MOST_POINTS), endpoint=False).astype(np.int64))
    binned = {name: np.add.reduceat(values, starts, axis=0) for name, values in steps.items()}
    ends = np.append(starts[1:], count) - 1

    def course(part: str, whole: str, column: int = 0) -> list[float | None]:
        return [_quotient(a, b) for a, b in zip(binned[part][:, column], binned[whole][:, column], strict=True)]

    return Course(
        first_step=steps["step"][starts].astype(int).tolist(),
        last_step=steps["step"][ends].astype(int).tolist(),
        rollouts=binned["rollouts"][:, 0].astype(int).tolist(),
        conflict_rate=course("conflicts", "rollouts"),
        mean={name: course("reward", "applies", k) for k, name in enumerate(names)},
        constant_groups={name: course("constant_groups", "scored_groups", k) for k, name in enumerate(names)},
        length=course("length", "with_length") if binned["with_length"].any() else None,
    )


def _same(values: Floats) -> bool:
    return bool((values == values[0]).all())


def _quotient(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
