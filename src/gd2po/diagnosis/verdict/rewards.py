"""The rules of the verdict on single rewards and on filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from gd2po.core.tolerances import SNR_ROUNDING
from gd2po.diagnosis.model import Finding, MethodNumbers, RewardNumbers, VerdictKind
from gd2po.diagnosis.numbers.sums import threshold_index
from gd2po.diagnosis.verdict.evidence import Evidence, Numbers
from gd2po.diagnosis.verdict.filters import less_filtering
from gd2po.diagnosis.verdict.limits import (
    DEAD_GROUPS,
    DOMINATING_SHARE,
    FEW_GROUPS,
    SAME_AS_HARD,
    SAME_INFORMATION,
    SATURATED_ROLLOUTS,
    STARVED_RETAINED,
    WRONGLY_DROPPED,
)
from gd2po.report.wording import join, number, percent, signed, with_interval


def side_findings(evidence: Evidence, kind: VerdictKind) -> list[Finding]:
    """What there is to say beside the conflicts themselves."""
    findings = [*_never_applied(evidence), *_dead(evidence), *_saturated(evidence), *_few_groups(evidence)]
    if len(evidence.active) > 1:
        findings += [*_dominating(evidence), *_wrongly_dropped(evidence), *_same_information(evidence)]
        if kind not in ("no_signal", "no_conflict"):
            findings += [*_starved(evidence), *_same_as_hard(evidence)]
    return findings


def _starved(evidence: Evidence) -> Iterator[Finding]:
    """A filter that takes most of a reward's signal or penalties away: the run's own, else the default one."""
    explorer, run = evidence.explorer, evidence.run
    if run is not None and run.filtered_rate and not explorer.marked_is_run:
        yield from _starved_by_the_run(evidence, run)
        return
    estimates, at = evidence.estimates, threshold_index(explorer.marked_threshold)
    kept, any_holds = {}, np.zeros(len(estimates.dropped), dtype=bool)
    for k in evidence.active:
        signal, penalties = estimates.retained[:, at, k], estimates.retained_negative[:, at, k]
        holds = np.fmin(signal, penalties) < STARVED_RETAINED  # a reward without penalties has none to lose
        if holds[0]:
            any_holds |= holds
            kept[evidence.names[k]] = (float(signal[0]), float(penalties[0]))
    if kept:
        threshold = explorer.marked_threshold
        whose = (
            f"This run's filter, at {threshold:g}, keeps"
            if explorer.marked_is_run
            else f"GD²PO at its default threshold of {threshold:g} would keep"
        )
        numbers: Numbers = {"snr_threshold": threshold}
        yield _starving(evidence, whose, kept, numbers, estimates.sureness(any_holds), is_run=explorer.marked_is_run)


def _starved_by_the_run(evidence: Evidence, run: MethodNumbers) -> Iterator[Finding]:
    """What a run's own filter takes that the thresholds do not show: the adaptive one, or one of some conflicts."""
    kept = {}
    for k in evidence.active:
        name = evidence.names[k]
        sides = [run.retained[name], run.retained_negative[name]]
        if min((share for share in sides if share is not None), default=1) < STARVED_RETAINED:
            kept[name] = (_nan_if_none(sides[0]), _nan_if_none(sides[1]))
    if kept:
        yield _starving(evidence, f"This run's filter ({run.name}) keeps", kept, {}, None, is_run=True)


def _starving(
    evidence: Evidence,
    whose: str,
    kept: dict[str, tuple[float, float]],
    numbers: Numbers,
    sureness: float | None,
    *,
    is_run: bool,
) -> Finding:
    parts = []
    for name, (signal, penalties) in kept.items():
        numbers |= {f"retained/{name}": signal, f"retained_negative/{name}": penalties}
        parts.append(f"{percent(signal)} of the signal and {percent(penalties)} of the penalties of {name}")
    text = (
        f"{whose} {join(parts)}. Rollouts that fail such a reward are dropped with the conflicts, so little holds it "
        "up any more."
    )
    advice = less_filtering(evidence.setting if is_run else None, evidence.explorer)
    if not is_run and evidence.setting is not None:
        advice = f"{evidence.setting.label} drops nothing here. {advice}"
    level: Literal["act", "watch"] = "act" if is_run else "watch"
    title = "The filter starves a reward" if is_run else "GD²PO's default filter would starve a reward"
    return Finding("starved", level, title, text, advice, sureness, numbers)


def _nan_if_none(value: float | None) -> float:
    return np.nan if value is None else value


def _never_applied(evidence: Evidence) -> Iterator[Finding]:
    """Rewards that gave no rollout a score."""
    for reward in evidence.rewards:
        if reward.counts and reward.applies == 0:
            text = (
                f"{reward.name} gave none of the {evidence.source.rollouts:,} rollouts a score (None or NaN for all)."
            )
            advice = "Check that it can read the references of the data set: gd2po check-rewards tries it on them."
            title = f"{reward.name} never applied"
            yield Finding("never_applied", "act", title, text, advice, None, {"applies": 0.0})


def _dead(evidence: Evidence) -> Iterator[Finding]:
    """Rewards that never tell the rollouts of a group apart."""
    constant = evidence.estimates.constant_groups
    for k in evidence.active:
        reward = evidence.rewards[k]
        holds = constant[:, k] >= DEAD_GROUPS
        if not holds[0] or is_saturated(reward):
            continue
        value = f" (always {number(reward.highest)})" if reward.highest == reward.lowest else ""
        text = (
            f"{reward.name} is the same for all rollouts in {with_interval(reward.constant_groups)} of the "
            f"groups{value}: it teaches nothing, whatever the method."
        )
        advice = "Check that it can be earned and missed, or give partial credit."
        numbers: Numbers = {"constant_groups": reward.constant_groups.value, "mean": reward.mean}
        sure = evidence.estimates.sureness(holds)
        yield Finding("dead", "act", f"{reward.name} is dead", text, advice, sure, numbers)


def is_saturated(reward: RewardNumbers) -> bool:
    """Whether nearly every rollout at the end has the reward's highest value, and not every rollout always had."""
    varies = reward.highest is not None and reward.highest != reward.lowest
    return varies and reward.at_highest_last is not None and reward.at_highest_last >= SATURATED_ROLLOUTS


def _saturated(evidence: Evidence) -> Iterator[Finding]:
    """Rewards that nearly every rollout has in full by now."""
    for k in evidence.active:
        reward = evidence.rewards[k]
        if not is_saturated(reward):
            continue
        text = (
            f"In the last quarter of the steps {percent(reward.at_highest_last)} of the rollouts have the highest "
            f"value of {reward.name}, {number(reward.highest)}, and {percent(reward.constant_groups_last)} of the "
            "groups are constant in it: it is solved."
        )
        advice = "What still fails it must be penalised, so watch what a filter retains of its penalties."
        numbers: Numbers = {
            "at_highest_last": reward.at_highest_last,
            "constant_groups_last": reward.constant_groups_last,
        }
        yield Finding("saturated", "watch", f"{reward.name} is saturated", text, advice, None, numbers)


def _dominating(evidence: Evidence) -> Iterator[Finding]:
    """A reward that nearly all of the update comes from."""
    estimates = evidence.estimates
    gdpo, grpo = estimates.voice("voice"), estimates.voice("sum_voice")
    for k in evidence.active:
        name = evidence.names[k]
        shares: Numbers = {"gdpo": float(gdpo[0, k]), "grpo": float(grpo[0, k])}
        if gdpo[0, k] >= DOMINATING_SHARE:
            text = (
                f"{percent(float(gdpo[0, k]))} of the variance of the summed advantage comes from {name}, even with "
                "every reward standardised inside its group: the others are constant in most groups, or have small "
                "weights."
            )
            advice = "The others hardly matter to the update. Raise their weights, or make them tell rollouts apart."
            sure = estimates.sureness(gdpo[:, k] >= DOMINATING_SHARE)
            yield Finding("dominating", "watch", f"{name} dominates", text, advice, sure, shares)
        elif grpo[0, k] >= DOMINATING_SHARE:
            text = (
                f"Under GRPO {percent(float(grpo[0, k]))} of the advantage's variance would come from {name}, because "
                f"of its scale. With every reward standardised inside its group, as in GDPO and GD²PO, it is "
                f"{percent(float(gdpo[0, k]))}."
            )
            advice = "With GRPO, bring the rewards to one scale first."
            sure = estimates.sureness(grpo[:, k] >= DOMINATING_SHARE)
            yield Finding("dominating", "note", f"{name} dominates a plain sum", text, advice, sure, shares)


def _same_as_hard(evidence: Evidence) -> Iterator[Finding]:
    """An SNR filter that drops every conflict, because none scores high enough."""
    explorer, by_threshold = evidence.explorer, evidence.estimates.dropped
    conflicts, threshold = by_threshold[:, -1], explorer.marked_threshold
    if conflicts[0] == 0 or not 0 < threshold < 1:
        return
    dropped = by_threshold[:, threshold_index(threshold)]
    holds = dropped >= SAME_AS_HARD * conflicts
    if not holds[0]:
        return
    text = (
        f"{percent(float(dropped[0] / conflicts[0]))} of the conflicts score below {threshold:g} (the highest scores "
        f"{explorer.largest_conflict_snr:.2f}), so the SNR filter at {threshold:g} drops what the hard filter drops."
    )
    if explorer.binary_snr_ceiling is not None:
        text += (
            f" All rewards are binary: with {len(evidence.active)} of equal weight in groups of this size no conflict "
            f"can score above {explorer.binary_snr_ceiling:.2f}."
        )
    advice = (
        "All conflicts cancel exactly: no threshold makes a difference."
        if explorer.largest_conflict_snr < SNR_ROUNDING
        else f"Only thresholds below {explorer.largest_conflict_snr:.2f} make a difference."
    )
    numbers: Numbers = {"snr_threshold": threshold, "largest_conflict_snr": explorer.largest_conflict_snr}
    sure = evidence.estimates.sureness(holds)
    yield Finding("snr_is_hard", "note", "SNR is the hard filter here", text, advice, sure, numbers)


def _wrongly_dropped(evidence: Evidence) -> Iterator[Finding]:
    """Groups that a filter on the summed reward takes for empty although they are not."""
    overall, estimates = evidence.overall, evidence.estimates
    share = estimates.wrongly_dropped_rate
    if share[0] < WRONGLY_DROPPED:
        return
    text = (
        f"A filter that drops groups whose summed reward is constant (DAPO's dynamic sampling) would drop "
        f"{overall.wrongly_dropped_groups:,} groups ({with_interval(overall.wrongly_dropped_share)} of all) in which "
        "the rewards differ and only their sum does not."
    )
    numbers: Numbers = {"wrongly_dropped_groups": overall.wrongly_dropped_groups, "share": float(share[0])}
    sure = estimates.sureness(share >= WRONGLY_DROPPED)
    yield Finding(
        "wrongly_dropped", "watch", "A sum hides signal", text, "Judge groups by the reward vector.", sure, numbers
    )


def _same_information(evidence: Evidence) -> Iterator[Finding]:
    """Two rewards that are one reward twice, or one and its opposite."""
    correlation = evidence.estimates.correlation
    for index in np.flatnonzero(np.abs(np.nan_to_num(correlation[0])) >= SAME_INFORMATION).tolist():
        text = (
            f"{evidence.pair(index)} carry the same information: in-group correlation {signed(correlation[0, index])}."
        )
        advice = "If one is a flag or a total of the other, leave it out with `rewards`."
        sure = evidence.estimates.sureness(np.abs(correlation[:, index]) >= SAME_INFORMATION)
        numbers = evidence.pair_numbers([index])
        yield Finding("same_information", "watch", "One reward twice", text, advice, sure, numbers)


def _few_groups(evidence: Evidence) -> Iterator[Finding]:
    """Too few groups for any statement to be firm."""
    groups = evidence.source.groups
    with_signal = round(groups * (1 - evidence.overall.zero_signal_groups))
    if 0 < with_signal < FEW_GROUPS:
        text = f"Only {with_signal} of {groups} groups carry signal. Take every statement here as tentative."
        advice = f"Look again with at least {FEW_GROUPS}."
        yield Finding("few_groups", "watch", "Few groups", text, advice, None, {"groups_with_signal": with_signal})
