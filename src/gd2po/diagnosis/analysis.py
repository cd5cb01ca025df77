"""From a reward log to a diagnosis: one pass over the numbers, then a look at the texts of the worst conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch

from gd2po.core import binary_snr_ceiling
from gd2po.diagnosis.model import (
    Course,
    Diagnosis,
    Explorer,
    MethodNumbers,
    OverallNumbers,
    PairKind,
    PairNumbers,
    RewardNumbers,
    ShownGroup,
    ShownRollout,
    Source,
)
from gd2po.diagnosis.numbers.batch import Batch, Floats
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.numbers.methods import MethodSums, compared_methods
from gd2po.diagnosis.numbers.sums import MOST_DISTINCT, THRESHOLDS, Sums, pairs_of
from gd2po.diagnosis.verdict.conflicts import judge, pair_kinds
from gd2po.diagnosis.verdict.evidence import Evidence
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.logs.grouping import StepReturnsError
from gd2po.logs.reward_log import RewardLog
from gd2po.runs.settings import DEFAULT_THRESHOLD, RunSettings

MOST_POINTS = 200
"""Points of a curve over the steps."""

SHOWN_GROUPS = 8
"""Most conflicted prompts that a report shows."""

LONGEST_TEXT = 4000
"""Characters of a prompt or completion that a report shows."""

SNR_BINS = 20


def diagnose(
    log: RewardLog,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Diagnosis:
    r"""The diagnosis of a log.

    Args:
        log: the rollouts.
        reward_weights: by name, or one per reward in the log's order. None: those of the run if its folder tells them,
            else all 1.
        progress: told how many rollouts have been read, now and then.

    Returns:
        A `Diagnosis`: the same for the same log, whatever the machine.

    Raises:
        DataFormatError: a malformed row or file.
        InvalidInputError: weights that do not go with the rewards, or none but 0.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.csv")
        ...     _ = path.write_text("step,group,correct,brief\n0,a,1,0\n0,a,0,1\n0,a,1,1\n0,a,0,0\n")
        ...     diagnose(RewardLog(path)).overall.conflict_rate.value
        0.5
    """
    settings = RunSettings.from_folder(log.files.run_folder)
    names = log.layout.reward_names
    weights = resolve_weights(reward_weights if reward_weights is not None else settings.reward_weights, names)
    threshold = settings.threshold
    methods = compared_methods(threshold, settings.min_retained)
    try:
        sums = _add_up(log, weights, methods, progress, in_order=True)
    except StepReturnsError:
        methods = compared_methods(threshold, settings.min_retained)
        sums = _add_up(log, weights, methods, progress, in_order=False)

    estimates = Estimates.from_blocks(sums.blocks)
    steps = sums.steps()
    source = _source(log, sums, steps, settings)
    kinds = pair_kinds(estimates)
    rewards = _rewards(names, weights, sums, steps, estimates)
    overall = _overall(estimates)
    explorer = _explorer(names, weights, sums, estimates, settings)
    evidence = Evidence(source, rewards, overall, explorer, estimates, kinds, settings.method)
    return Diagnosis(
        source=source,
        verdict=judge(evidence),
        rewards=rewards,
        pairs=_pairs(names, kinds, estimates),
        overall=overall,
        methods=[_method(method, names, settings) for method in methods],
        explorer=explorer,
        course=_course(names, steps),
        prompts=_shown_groups(log, sums),
        version=metadata.version("gd2po"),
    )


def resolve_weights(weights: Mapping[str, float] | Sequence[float] | None, names: Sequence[str]) -> list[float]:
    """One weight per reward.

    Raises:
        InvalidInputError: an unknown reward, the wrong number of weights, or none but 0.
    """
    if weights is None:
        return [1.0] * len(names)
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in names:
                raise InvalidInputError(
                    f"`reward_weights` names {name!r}, which is not among the rewards: {', '.join(names)}."
                )
        resolved = [float(weights.get(name, 1.0)) for name in names]
    else:
        resolved = [float(weight) for weight in weights]
        if len(resolved) != len(names):
            raise InvalidInputError(
                f"`reward_weights` needs one weight per reward: expected {len(names)} ({', '.join(names)}), got "
                f"{len(resolved)}."
            )
    if not all(np.isfinite(resolved)) or not any(resolved):
        raise InvalidInputError(f"`reward_weights` needs finite numbers that are not all 0: got {resolved}.")
    return resolved


def _add_up(
    log: RewardLog,
    weights: Sequence[float],
    methods: Sequence[MethodSums],
    progress: Callable[[int], None] | None,
    *,
    in_order: bool,
) -> Sums:
    sums = Sums(len(weights))
    with _one_thread():
        for chunk in log.chunks(in_order=in_order, progress=progress):
            batch = Batch.from_chunk(chunk, weights)
            sums.add(batch)
            for method in methods:
                method.add(batch)
    if not sums.blocks.num_groups:
        first, last = log.step_range
        within = "" if first is None and last is None else f" with steps from {first} to {last} (`step_range`)"
        raise DataFormatError(f"{log.files.source} holds no rollouts{within}.")
    return sums


@contextmanager
def _one_thread() -> Iterator[None]:
    """Chunks are small: with more threads torch mostly waits for them, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _source(log: RewardLog, sums: Sums, steps: dict[str, Floats], settings: RunSettings) -> Source:
    sizes = sorted(sums.group_sizes.items(), key=lambda item: (-item[1], item[0]))
    return Source(
        path=log.files.source,
        format=log.layout.dialect.title,
        files=len(log.files.paths),
        rollouts=sum(size * count for size, count in sizes),
        groups=sums.blocks.num_groups,
        single_rollout_groups=sums.group_sizes.get(1, 0),
        group_sizes=dict(sizes[:10]),
        steps=len(steps["step"]),
        first_step=int(steps["step"][0]),
        last_step=int(steps["step"][-1]),
        skipped_rows=log.bad_rows.count,
        notes=log.notes(),
        run=settings.shown(),
    )


def _rewards(
    names: Sequence[str], weights: Sequence[float], sums: Sums, steps: dict[str, Floats], estimates: Estimates
) -> list[RewardNumbers]:
    quarter = -(-len(steps["step"]) // 4)  # at least one step
    first, last, every = slice(None, quarter), slice(-quarter, None), slice(None)
    constant = estimates.constant_groups()
    total = {name: values[0] for name, values in estimates.sums.items()}
    rewards = []
    for k, name in enumerate(names):

        def share(part: str, whole: str, where: slice, k: int = k) -> float | None:
            return _quotient(steps[part][where, k].sum(), steps[whole][where, k].sum())

        applies = steps["applies"][:, k].sum() > 0
        with_spread = total["scored_groups"][k]
        rewards.append(
            RewardNumbers(
                name=name,
                weight=weights[k],
                applies=_quotient(total["applies"][k], sums_of_rollouts(sums)) or 0.0,
                mean=share("reward", "applies", every),
                first_mean=share("reward", "applies", first),
                last_mean=share("reward", "applies", last),
                lowest=float(steps["lowest"][:, k].min()) if applies else None,
                highest=float(steps["highest"][:, k].max()) if applies else None,
                distinct_values=len(sums.distinct[k]) if len(sums.distinct[k]) <= MOST_DISTINCT else None,
                spread=_quotient(total["spread"][k], with_spread),
                constant_groups=estimates.interval(constant[:, k]),
                constant_groups_last=share("constant_groups", "scored_groups", last),
                at_highest=share("at_highest", "applies", every),
                at_highest_last=share("at_highest", "applies", last),
                at_lowest=share("at_lowest", "applies", every),
                at_lowest_last=share("at_lowest", "applies", last),
            )
        )
    return rewards


def sums_of_rollouts(sums: Sums) -> int:
    """All rollouts, those to which nothing applies included."""
    return sum(size * count for size, count in sums.group_sizes.items())


def _pairs(names: Sequence[str], kinds: Sequence[PairKind], estimates: Estimates) -> list[PairNumbers]:
    return [
        PairNumbers(
            rewards=(names[j], names[k]),
            conflict_rate=estimates.interval(estimates.pair_conflict_rate[:, index]),
            correlation=estimates.interval(estimates.correlation[:, index]),
            kind=kinds[index],
        )
        for index, (j, k) in enumerate(pairs_of(len(names)))
    ]


def _overall(estimates: Estimates) -> OverallNumbers:
    total = {name: values[0] for name, values in estimates.sums.items()}
    return OverallNumbers(
        conflict_rate=estimates.interval(estimates.conflict_rate),
        cancellation=estimates.interval(estimates.cancellation),
        snr_mean=_quotient(total["snr"][0], total["rollouts"][0]),
        zero_signal_groups=float(estimates.group_share("silent_groups")[0]),
        zero_sum_groups=float(estimates.group_share("sum_silent_groups")[0]),
        wrongly_dropped_groups=round(total["wrongly_dropped_groups"][0]),
        wrongly_dropped_share=estimates.interval(estimates.group_share("wrongly_dropped_groups")),
    )


def _explorer(
    names: Sequence[str], weights: Sequence[float], sums: Sums, estimates: Estimates, settings: RunSettings
) -> Explorer:
    def by_reward(values: Floats) -> dict[str, list[float | None]]:
        return {name: [_none_if_nan(value) for value in values[0, :, k]] for k, name in enumerate(names)}

    conflicts = estimates.lost[0, :, -1]
    stride = (len(THRESHOLDS) - 1) // SNR_BINS
    edges = THRESHOLDS[::stride]
    # A score belongs to the first threshold above it, so the counts up to two thresholds differ by what lies between.
    counts = np.diff(conflicts[::stride])
    active = [k for k, weight in enumerate(weights) if weight != 0]
    binary = all(len(sums.distinct[k]) == 2 for k in active)
    largest_group = max(sums.group_sizes)
    marked = settings.threshold
    return Explorer(
        thresholds=THRESHOLDS.tolist(),
        keep_rate=(1 - np.nan_to_num(estimates.filtered_rate[0])).tolist(),
        retained=by_reward(estimates.retained),
        retained_negative=by_reward(estimates.retained_negative),
        snr_edges=edges.tolist(),
        snr_counts=[round(count) for count in counts],
        agreeing=round(estimates.sums["rollouts"][0, 0] - conflicts[-1]),
        marked_threshold=DEFAULT_THRESHOLD if marked is None else marked,
        recommended_threshold=float(estimates.largest_threshold(settings.min_retained)[0]),
        min_retained=settings.min_retained,
        largest_conflict_snr=sums.largest_snr,
        binary_snr_ceiling=(
            binary_snr_ceiling(len(active), largest_group) if binary and len(active) > 1 and largest_group > 1 else None
        ),
    )


def _method(method: MethodSums, names: Sequence[str], settings: RunSettings) -> MethodNumbers:
    assert method.total is not None
    assert method.lost is not None
    assert method.shares is not None
    count = len(names)
    kept = [
        None if not total else float(1 - lost / total) for total, lost in zip(method.total, method.lost, strict=True)
    ]
    thresholds = np.array(method.thresholds)
    return MethodNumbers(
        name=method.name,
        estimator=method.estimator,
        snr_threshold=method.threshold,
        filtered_rate=_quotient(method.rollouts - method.kept, method.rollouts),
        retained=dict(zip(names, kept[:count], strict=True)),
        retained_negative=dict(zip(names, kept[count:], strict=True)),
        effective_sample_share=_quotient(method.effective, method.rollouts),
        variance_share={name: _quotient(method.shares[k], method.shares_weight) for k, name in enumerate(names)},
        auto_thresholds=(
            (float(thresholds.min()), float(np.median(thresholds)), float(thresholds.max()))
            if len(thresholds)
            else None
        ),
        is_run=method.name == settings.method,
    )


def _course(names: Sequence[str], steps: dict[str, Floats]) -> Course:
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


def _shown_groups(log: RewardLog, sums: Sums) -> list[ShownGroup]:
    """The most conflicted groups, each prompt once."""
    candidates = [group for *_, group in sorted(sums.conflicted, key=lambda item: item[:2], reverse=True)]
    # Texts are fetched for twice as many as are shown: enough unless one prompt comes again and again.
    texts = log.texts([place for group in candidates[: 2 * SHOWN_GROUPS] for place in group.places.tolist()])
    shown: list[ShownGroup] = []
    prompts: set[str] = set()
    for group in candidates[: 2 * SHOWN_GROUPS]:
        prompt = texts.get(int(group.places[0]), (None, None))[0]
        if prompt is not None and prompt in prompts:
            continue
        prompts.add(prompt or "")
        rollouts = [
            ShownRollout(
                completion=_cut(texts.get(place, (None, None))[1]),
                rewards=[_decimal(value) for value in rewards],
                reward_advantages=advantages.tolist(),
                snr=float(snr),
                conflict=conflict,
            )
            for place, rewards, advantages, snr, conflict in zip(
                group.places.tolist(), group.rewards, group.reward_advantages, group.snr, group.conflicts, strict=True
            )
        ]
        where = log.place(int(group.places[0]))
        shown.append(ShownGroup(group.step, _cut(prompt), group.size, group.lost, where, rollouts))
        if len(shown) == SHOWN_GROUPS:
            break
    return shown


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]} [... {len(text) - LONGEST_TEXT:,} more characters]"


def _quotient(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _decimal(value: float) -> float | None:
    """A reward as it was written, without the digits that float32 adds."""
    return None if np.isnan(value) else float(str(np.float32(value)))
