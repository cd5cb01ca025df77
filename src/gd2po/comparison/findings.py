"""What follows from a comparison, in words: which differences are beyond noise, and which are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gd2po.comparison.model import MethodNumbers
from gd2po.comparison.statistics import ENOUGH_SEEDS, LEVEL
from gd2po.comparison.views.wording import difference_with_interval, score
from gd2po.diagnosis.verdict.limits import STARVED_RETAINED
from gd2po.report.findings import Finding, level_of
from gd2po.report.intervals import sign_of
from gd2po.report.wording import counted, join, percent


def headline_of(methods: Sequence[MethodNumbers], metrics: Sequence[str], baseline: str) -> str:
    """The answer in a sentence."""
    if not any(method.seeds for method in methods):
        return "No run has come to its end"
    others = [method for method in methods if method.difference]
    if not others:
        return f"Nothing can be compared with {baseline}: no other method has finished a run with its seeds"
    if all(estimate.seeds < ENOUGH_SEEDS for method in others for estimate in method.difference.values()):
        return f"Too few seeds to tell the methods apart: it takes {ENOUGH_SEEDS}"
    parts = []
    for method in others:
        above = [metric for metric in metrics if _sign(method, metric) > 0]
        below = [metric for metric in metrics if _sign(method, metric) < 0]
        if above:
            also = f", below it in {join(below, None)}" if below else ""
            parts.append(f"{method.name} is above {baseline} in {join(above, None)}{also}")
        elif below:
            parts.append(f"{method.name} is below {baseline} in {join(below, None)}")
    if not parts:
        return f"No method differs from {baseline} beyond noise"
    return "; ".join(parts)


def findings_of(
    methods: Sequence[MethodNumbers], metrics: Sequence[str], shares: Sequence[str], baseline: str, same_prompts: bool
) -> list[Finding]:
    """All there is to say, what went wrong first."""
    findings = [*_failures(methods)]
    if not same_prompts:
        findings.append(
            Finding(
                "act", "The methods did not train on the same prompts",
                "With the same seed, two methods saw other prompts, or the same in another order, so the prompts may "
                "explain part of their difference.",
            )
        )  # fmt: skip
    for metric in metrics:
        findings += _differences(methods, metric, baseline, share=metric in shares)
    findings += [*_starved(methods), *_chance(methods)]
    return findings


def _sign(method: MethodNumbers, metric: str) -> int:
    return sign_of(method.difference.get(metric))


def _failures(methods: Sequence[MethodNumbers]) -> Iterator[Finding]:
    for method in methods:
        if method.failed:
            seeds = join([str(run.seed) for run in method.failed], None)
            yield Finding(
                "act",
                f"{method.name} failed with seed {seeds}",
                f"{method.failed[0].error} The other runs continued; the same command retries the failed ones.",
            )


def _differences(methods: Sequence[MethodNumbers], metric: str, baseline: str, *, share: bool) -> Iterator[Finding]:
    """How the methods compare in one score."""
    others = [method for method in methods if metric in method.difference]
    reference = next((method.final.get(metric) for method in methods if method.name == baseline), None)
    if not others or reference is None:
        return
    unit = ", in points" if share else ""
    against = f"Against {score(reference.value, share)} of {baseline}{unit}"
    shown = {method.name: difference_with_interval(method.difference[metric], share) for method in others}
    few = [method for method in others if method.difference[metric].seeds < ENOUGH_SEEDS]
    if len(few) == len(others):
        yield _unsettled(few, metric, against, shown)
        return
    better = [method for method in others if _sign(method, metric) > 0]
    worse = [method for method in others if _sign(method, metric) < 0]
    rest = [method for method in others if method not in better and method not in worse and method not in few]
    parts = [
        f"{word}: {'; '.join(f'{method.name} {shown[method.name]}' for method in group)}"
        for word, group in (
            ("better", better), ("worse", worse), ("within noise", rest), ("too few seeds to tell", few)
        )
        if group
    ]  # fmt: skip
    claims = [
        f"{join([method.name for method in group], None)} {word}"
        for word, group in (("better", better), ("worse", worse))
        if group
    ]
    title = f"{metric}: {', '.join(claims)}" if claims else f"{metric}: no difference beyond noise"
    yield Finding(level_of(better, worse), title, f"{against}: {'. '.join(parts)}.")


def _unsettled(methods: Sequence[MethodNumbers], metric: str, against: str, shown: Mapping[str, str]) -> Finding:
    """Differences that rest on too few seeds, and what it is worth that they agree."""
    most = max(method.difference[metric].seeds for method in methods)
    pointing = [
        method.name
        for method in methods
        if method.difference[metric].seeds == most > 1 and method.difference[metric].excludes_zero
    ]
    seeds = counted(most, "seed")
    listed = "; ".join(f"{name} {text}" for name, text in shown.items())
    same_way = (
        f" All {seeds} point the same way for {join(pointing, None)}, which happens by chance once in "
        f"{2 ** (most - 1)}."
        if pointing
        else ""
    )
    text = f"{against}: {listed}.{same_way} It takes {ENOUGH_SEEDS} seeds."
    return Finding("note", f"{metric}: not settled by {seeds}", text)


def _starved(methods: Sequence[MethodNumbers]) -> Iterator[Finding]:
    for method in methods:
        lost = [
            f"{percent(min(share, method.retained_negative.get(reward, share)))} of {reward}"
            for reward, share in method.retained.items()
            if min(share, method.retained_negative.get(reward, share)) < STARVED_RETAINED
        ]
        if lost:
            yield Finding(
                "watch",
                f"{method.name} starves {'a reward' if len(lost) == 1 else 'rewards'}",
                f"Of their signal or penalties it keeps only {join(lost, None)}, so they have little say and may "
                "collapse in a longer run.",
            )


def _chance(methods: Sequence[MethodNumbers]) -> Iterator[Finding]:
    """How many of the differences would look real by chance."""
    looked_at = [
        estimate for method in methods for estimate in method.difference.values() if estimate.seeds >= ENOUGH_SEEDS
    ]
    if len(looked_at) > 1:
        yield Finding(
            "note",
            f"{len(looked_at)} differences were looked at",
            f"Without any real difference, about {(1 - LEVEL) * len(looked_at):.1f} of them would look beyond noise. "
            "Trust one that you expected, or that recurs with other seeds.",
        )
