"""The verdict: few rules, each a sentence with the numbers it rests on and how sure it is.

docs/diagnosis.md explains every rule and threshold. A rule's sureness is the share of the bootstrap resamples of the
log's groups in which its condition holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gd2po.core import binary_snr_ceiling
from gd2po.diagnosis.batch import Bools
from gd2po.diagnosis.estimates import Estimates
from gd2po.diagnosis.evidence import Evidence, Numbers, threshold_index
from gd2po.diagnosis.model import Finding, PairKind, RewardNumbers, Verdict, VerdictKind
from gd2po.diagnosis.wording import join, number, percent, signed, with_interval

LEAST_CONFLICT_RATE = 0.05
"""Conflicts in fewer rollouts are not worth acting on, neither of all rewards nor of a pair."""

LEAST_CANCELLATION = 0.02
"""Nor are conflicts that cost less of the signal than this."""

LEAST_CORRELATION = 0.1
"""In-group correlation above which two rewards agree, and below whose negative they oppose each other."""

SURE_ENOUGH = 0.95
"""Share of the resamples that have to say so before a pair is called agreeing, opposing or unrelated."""

SAME_INFORMATION = 0.99
"""Correlation, of either sign, from which on two rewards are one reward twice."""

DEAD_GROUPS = 0.99
"""A reward that is constant in at least this share of the groups is dead."""

SATURATED_ROLLOUTS = 0.95
"""A reward is saturated if this share of the last quarter's rollouts has its highest value."""

DOMINATING_SHARE = 0.8
"""A reward dominates if this share of the variance of the summed advantage comes from it."""

STARVED_RETAINED = 0.5
"""A filter starves a reward if it keeps less than this share of its signal or of its penalties."""

SAME_AS_HARD = 0.99
"""The SNR filter is the hard filter if it drops this share of the conflicts."""

WRONGLY_DROPPED = 0.01
"""Share of the groups with signal that a sum-based filter drops, from which on it is said."""

FEW_GROUPS = 30
"""With fewer groups that carry signal, every statement is tentative."""


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a log."""
    kind, headline, main = _main(evidence)
    findings = [
        *main,
        *_starved(evidence, kind),
        *_dead(evidence),
        *_saturated(evidence),
        *_dominating(evidence),
        *_same_as_hard(evidence),
        *_wrongly_dropped(evidence),
        *_same_information(evidence),
        *_few_groups(evidence),
    ]
    order = {"act": 0, "good": 1, "watch": 2, "note": 3}
    return Verdict(headline, kind, [*main, *sorted(findings[len(main) :], key=lambda finding: order[finding.level])])


def pair_kinds(estimates: Estimates) -> list[PairKind]:
    """What the in-group correlation of each pair says: noise between rewards that agree, or a trade-off."""
    kinds: list[PairKind] = []
    for correlation in estimates.correlation.T:
        rules: list[tuple[PairKind, np.ndarray]] = [
            ("agree", correlation > LEAST_CORRELATION),
            ("oppose", correlation < -LEAST_CORRELATION),
            ("unrelated", np.abs(correlation) <= LEAST_CORRELATION),
        ]
        sure = [(estimates.sureness(holds) or 0.0, kind) for kind, holds in rules if holds[0]]
        kinds.append(next((kind for share, kind in sure if share >= SURE_ENOUGH), "unclear"))
    return kinds


def _main(evidence: Evidence) -> tuple[VerdictKind, str, list[Finding]]:
    """The kind of the log, the headline, and the findings that give its reasons."""
    if len(evidence.active) < 1 or evidence.overall.zero_signal_groups == 1:
        return _no_signal(evidence)
    if len(evidence.active) == 1:
        return _one_reward(evidence)
    estimates = evidence.estimates
    harmless = (estimates.conflict_rate < LEAST_CONFLICT_RATE) | (estimates.cancellation < LEAST_CANCELLATION)
    if harmless[0]:
        return _no_conflict(evidence, harmless)
    rates = evidence.estimates.pair_conflict_rate[0]
    matter = [p for p in range(len(rates)) if rates[p] >= LEAST_CONFLICT_RATE] or [int(rates.argmax())]
    matter.sort(key=lambda p: -rates[p])
    by_kind = {
        kind: [p for p in matter if evidence.kinds[p] == kind] for kind in ("agree", "oppose", "unrelated", "unclear")
    }
    findings = [
        *_opposing(evidence, by_kind["oppose"]),
        *_agreeing(evidence, by_kind["agree"], alone=len(by_kind["agree"]) == len(matter)),
        *_unrelated(evidence, by_kind["unrelated"], "unrelated"),
        *_unrelated(evidence, by_kind["unclear"], "unclear"),
    ]
    if by_kind["oppose"]:
        names = join([evidence.pair(p) for p in by_kind["oppose"]])
        if by_kind["agree"]:
            return (
                "mixed",
                f"A trade-off ({names}) beside conflicts that look like noise: do not filter hard.",
                findings,
            )
        return (
            "trade_off",
            f"A trade-off: {names} pull against each other. Do not filter hard; settle it with weights.",
            findings,
        )
    if len(by_kind["agree"]) == len(matter):
        threshold = evidence.explorer.recommended_threshold
        advice = (
            f"filter them, with a threshold of {threshold:g}" if threshold > 0 else "but a filter would starve a reward"
        )
        return "noise", f"The conflicts look like noise: {advice}.", findings
    if by_kind["agree"]:
        return "mixed", "Some conflicts look like noise, others may not: filter lightly.", findings
    if by_kind["unrelated"]:
        return (
            "unclear",
            "Rewards that know nothing of each other: their conflicts are no noise. Do not filter hard.",
            findings,
        )
    return "unclear", "There are conflicts, but too little data to call them noise or a trade-off.", findings


def _no_signal(evidence: Evidence) -> tuple[VerdictKind, str, list[Finding]]:
    source = evidence.source
    numbers: Numbers = {"groups": source.groups, "single_rollout_groups": source.single_rollout_groups}
    if source.single_rollout_groups == source.groups:
        text = (
            f"Each of the {source.groups:,} groups holds one rollout, so none can be compared with another and every advantage "
            "is 0. If the log has several completions per prompt, say what groups them with --group or --group-size."
        )
        headline = "No group has two rollouts: there is nothing to compare."
    else:
        text = f"In all {source.groups:,} groups every reward is the same for all rollouts, so every advantage is 0."
        headline = "No reward tells any rollout from another: there is nothing to learn from."
    return "no_signal", headline, [Finding("no_signal", "act", "No signal", text, None, numbers)]


def _one_reward(evidence: Evidence) -> tuple[VerdictKind, str, list[Finding]]:
    reward = evidence.rewards[evidence.active[0]]
    text = (
        f"{reward.name} is the only reward, so nothing can conflict: GDPO and GD²PO are GRPO up to the whitening of the batch, "
        f"and no filter drops anything. It is constant in {with_interval(reward.constant_groups)} of the groups, which give "
        "no gradient. If it is a sum, log its parts as columns of their own to see whether they disagree."
    )
    numbers: Numbers = {"constant_groups": reward.constant_groups.value}
    return (
        "one_reward",
        "One reward: no conflicts are possible.",
        [Finding("one_reward", "note", "One reward", text, None, numbers)],
    )


def _no_conflict(evidence: Evidence, harmless: Bools) -> tuple[VerdictKind, str, list[Finding]]:
    overall = evidence.overall
    text = (
        f"The rewards disagree in {with_interval(overall.conflict_rate)} of the rollouts, and adding them up cancels "
        f"{with_interval(overall.cancellation)} of their signal. GDPO and GD²PO would do nearly the same."
    )
    finding = Finding(
        "no_conflict",
        "good",
        "No conflict worth acting on",
        text,
        evidence.estimates.sureness(harmless),
        {"conflict_rate": overall.conflict_rate.value, "cancellation": overall.cancellation.value},
    )
    return "no_conflict", "No conflict worth acting on.", [finding]


def _agreeing(evidence: Evidence, pairs: Sequence[int], alone: bool) -> list[Finding]:
    """Conflicts between rewards that agree on the whole: noise, which a filter may drop as far as no reward starves."""
    if not pairs:
        return []
    estimates, explorer = evidence.estimates, evidence.explorer
    threshold = explorer.recommended_threshold
    name, side, least = evidence.least_retained(threshold)
    text = f"{evidence.describe(pairs)}, although they agree on the whole. Such conflicts are mostly noise. "
    if threshold > 0:
        text += (
            f"At the threshold {threshold:g} a filter drops {percent(evidence.filtered(threshold))} of the rollouts and "
            f"leaves every reward at least {percent(explorer.min_retained)} of its signal, penalties included (least: "
            f"{percent(least)} of the {side} of {name}). "
        )
        text += (
            'Set `snr_threshold` to it, or to "auto".' if alone else "The pairs below speak against filtering harder."
        )
    else:
        text += (
            f"But no threshold leaves every reward {percent(explorer.min_retained)} of its signal and penalties, so leave "
            "them in, or accept less with `min_retained`."
        )
    holds = (estimates.correlation[:, pairs] > LEAST_CORRELATION).all(1)
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold, "least_retained": least}
    return [Finding("noise", "act", "Conflicts that look like noise", text, estimates.sureness(holds), numbers)]


def _opposing(evidence: Evidence, pairs: Sequence[int]) -> list[Finding]:
    """Rewards that pull against each other by nature: weights have to settle that, and no filter may hide it."""
    if not pairs:
        return []
    estimates, threshold = evidence.estimates, evidence.explorer.recommended_threshold
    name, side, least = evidence.least_retained(1)
    text = (
        f"{evidence.describe(pairs)}: where one is better than its group, the other tends to be worse. That is a "
        f"trade-off and no noise. The hard filter would drop {percent(evidence.filtered(1))} of the rollouts and "
        f"keep {percent(least)} of the {side} of {name}. Decide what matters more with `reward_weights`, or use GDPO; "
    )
    text += f"if you filter, stay at or below {threshold:g}." if threshold > 0 else "do not filter."
    holds = (estimates.correlation[:, pairs] < -LEAST_CORRELATION).all(1)
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold, "least_retained_hard": least}
    return [Finding("trade_off", "act", "A trade-off", text, estimates.sureness(holds), numbers)]


def _unrelated(evidence: Evidence, pairs: Sequence[int], kind: PairKind) -> list[Finding]:
    """Conflicts that are neither noise nor a trade-off for sure."""
    if not pairs:
        return []
    estimates, threshold = evidence.estimates, evidence.explorer.recommended_threshold
    advice = f"stay at or below a threshold of {threshold:g}" if threshold > 0 else "do not filter"
    name, side, least = evidence.least_retained(1)
    hard = f"The hard filter would keep {percent(least)} of the {side} of {name}; {advice}."
    if kind == "unrelated":
        text = (
            f"{evidence.describe(pairs)}. They neither agree nor disagree as a rule, so a conflict says nothing about noise: "
            f"dropping it drops good work on both. {hard}"
        )
        holds = (np.abs(estimates.correlation[:, pairs]) <= LEAST_CORRELATION).all(1)
        return [
            Finding(
                "unrelated", "watch", "Unrelated rewards", text, estimates.sureness(holds), evidence.pair_numbers(pairs)
            )
        ]
    text = (
        f"{evidence.describe(pairs)}. The interval reaches both sides of {LEAST_CORRELATION:g} or −{LEAST_CORRELATION:g}, so the "
        f"log cannot tell noise from a trade-off yet. Until it can: {hard[0].lower()}{hard[1:]}"
    )
    return [Finding("unclear", "watch", "Too little data to tell", text, None, evidence.pair_numbers(pairs))]


def _starved(evidence: Evidence, kind: VerdictKind) -> list[Finding]:
    """A filter at the marked threshold that takes most of a reward's signal or penalties away."""
    if kind in ("no_signal", "one_reward", "no_conflict"):
        return []
    estimates, explorer = evidence.estimates, evidence.explorer
    at = threshold_index(explorer.marked_threshold)
    starved = []
    for k in evidence.active:
        both = np.stack([estimates.retained[:, at, k], estimates.retained_negative[:, at, k]])
        holds = np.fmin(both[0], both[1]) < STARVED_RETAINED
        if holds[0]:
            starved.append((evidence.names[k], float(both[0, 0]), float(both[1, 0]), holds))
    if not starved:
        return []
    parts = [f"{percent(all_)} of the signal and {percent(negative)} of the penalties of {name}" for name, all_, negative, _ in starved]
    is_run = evidence.run_method is not None and evidence.run_method.startswith("gd2po")
    whose = "This run's filter" if is_run else "GD²PO"
    keeps = "keeps" if is_run else "would keep"
    text = (
        f"{whose} at the threshold {explorer.marked_threshold:g} {keeps} {join(parts)}. Rollouts that fail such a reward "
        "are dropped with the conflicts, so nothing holds it up any more. "
    )
    text += (
        f"Every reward keeps {percent(explorer.min_retained)} up to the threshold {explorer.recommended_threshold:g}."
        if explorer.recommended_threshold > 0
        else f"No threshold leaves every reward {percent(explorer.min_retained)}: do not filter."
    )
    numbers: Numbers = {"snr_threshold": explorer.marked_threshold}
    for name, all_, negative, _ in starved:
        numbers |= {f"retained/{name}": all_, f"retained_negative/{name}": negative}
    sure = estimates.sureness(np.logical_or.reduce([holds for *_, holds in starved]))
    level: Literal["act", "watch"] = "act" if is_run else "watch"
    title = "The filter starves a reward" if is_run else "A filter would starve a reward"
    return [Finding("starved", level, title, text, sure, numbers)]


def _dead(evidence: Evidence) -> list[Finding]:
    """Rewards that never tell the rollouts of a group apart."""
    findings = []
    constant = evidence.estimates.constant_groups()
    for k in evidence.active:
        reward = evidence.rewards[k]
        holds = constant[:, k] >= DEAD_GROUPS
        if not holds[0] or _is_saturated(reward):
            continue
        value = f" (always {number(reward.highest)})" if reward.highest == reward.lowest else ""
        text = (
            f"{reward.name} is the same for all rollouts in {with_interval(reward.constant_groups)} of the groups{value}: it "
            "teaches nothing, whatever the method. Check that it can be earned at all, or give partial credit."
        )
        numbers: Numbers = {"constant_groups": reward.constant_groups.value, "mean": reward.mean}
        findings.append(
            Finding("dead", "act", f"{reward.name} is dead", text, evidence.estimates.sureness(holds), numbers)
        )
    return findings


def _is_saturated(reward: RewardNumbers) -> bool:
    varies = reward.highest is not None and reward.highest != reward.lowest
    return varies and reward.at_highest_last is not None and reward.at_highest_last >= SATURATED_ROLLOUTS


def _saturated(evidence: Evidence) -> list[Finding]:
    """Rewards that nearly every rollout has in full by now."""
    findings = []
    for k in evidence.active:
        reward = evidence.rewards[k]
        if not _is_saturated(reward):
            continue
        text = (
            f"{percent(reward.at_highest_last)} of the rollouts in the last quarter of the steps have the highest value of "
            f"{reward.name} ({number(reward.highest)}), and it is constant in {percent(reward.constant_groups_last)} of their "
            "groups: it is solved. Rollouts that still fail it must be penalised, so watch what a filter retains of it."
        )
        numbers: Numbers = {
            "at_highest_last": reward.at_highest_last,
            "constant_groups_last": reward.constant_groups_last,
        }
        findings.append(Finding("saturated", "watch", f"{reward.name} is saturated", text, None, numbers))
    return findings


def _dominating(evidence: Evidence) -> list[Finding]:
    """A reward that nearly all of the update comes from."""
    if len(evidence.active) < 2:
        return []
    estimates = evidence.estimates
    gdpo, grpo = estimates.voice("voice"), estimates.voice("grpo_voice")
    for k in evidence.active:
        name = evidence.names[k]
        shares: Numbers = {"gdpo": float(gdpo[0, k]), "grpo": float(grpo[0, k])}
        if gdpo[0, k] >= DOMINATING_SHARE:
            text = (
                f"{percent(gdpo[0, k])} of the variance of the summed advantage comes from {name}, even with every reward "
                "standardised inside its group. The others hardly matter: they are constant in most groups, or have small weights."
            )
            sure = estimates.sureness(gdpo[:, k] >= DOMINATING_SHARE)
            return [Finding("dominating", "watch", f"{name} dominates", text, sure, shares)]
        if grpo[0, k] >= DOMINATING_SHARE:
            text = (
                f"Under GRPO {percent(grpo[0, k])} of the advantage's variance comes from {name}, because of its scale; with "
                f"every reward standardised inside its group, as GDPO and GD²PO do, it is {percent(gdpo[0, k])}."
            )
            sure = estimates.sureness(grpo[:, k] >= DOMINATING_SHARE)
            return [Finding("dominating", "watch", f"{name} dominates a plain sum", text, sure, shares)]
    return []


def _same_as_hard(evidence: Evidence) -> list[Finding]:
    """An SNR filter that drops every conflict, because none scores high enough."""
    explorer, lost = evidence.explorer, evidence.estimates.lost[:, :, -1]
    conflicts, threshold = lost[:, -1], explorer.marked_threshold
    if len(evidence.active) < 2 or conflicts[0] == 0 or not 0 < threshold < 1:
        return []
    dropped = lost[:, threshold_index(threshold)]
    holds = dropped >= SAME_AS_HARD * conflicts
    if not holds[0]:
        return []
    text = (
        f"{percent(float(dropped[0] / conflicts[0]))} of the conflicts score below {threshold:g} (the highest scores "
        f"{explorer.largest_conflict_snr:.2f}), so the SNR filter at {threshold:g} is the hard filter here."
    )
    if explorer.binary_snr_ceiling is not None:
        text += (
            f" All rewards are binary: with {len(evidence.active)} of them and groups of this size no conflict can score above "
            f"{explorer.binary_snr_ceiling:.2f}, unless weights lift it."
        )
    text += " Only thresholds below that make a difference."
    numbers: Numbers = {"snr_threshold": threshold, "largest_conflict_snr": explorer.largest_conflict_snr}
    sure = evidence.estimates.sureness(holds)
    return [Finding("snr_is_hard", "note", "The SNR filter is the hard filter here", text, sure, numbers)]


def _wrongly_dropped(evidence: Evidence) -> list[Finding]:
    """Groups that a filter on the summed reward takes for empty although they are not."""
    overall, estimates = evidence.overall, evidence.estimates
    share = estimates.group_share("wrongly_dropped_groups")
    if len(evidence.active) < 2 or share[0] < WRONGLY_DROPPED:
        return []
    text = (
        f"A filter that drops groups whose summed reward is constant (DAPO's dynamic sampling) would drop "
        f"{overall.wrongly_dropped_groups:,} groups ({with_interval(overall.wrongly_dropped_share)}) in which the rewards "
        "differ and only their sum does not. Judge groups by the reward vector."
    )
    numbers: Numbers = {"wrongly_dropped_groups": float(overall.wrongly_dropped_groups), "share": float(share[0])}
    sure = estimates.sureness(share >= WRONGLY_DROPPED)
    return [Finding("wrongly_dropped", "watch", "A sum hides signal", text, sure, numbers)]


def _same_information(evidence: Evidence) -> list[Finding]:
    """Two rewards that are one reward twice, or one and its opposite."""
    correlation = evidence.estimates.correlation
    findings = []
    for index in np.flatnonzero(np.abs(np.nan_to_num(correlation[0])) >= SAME_INFORMATION).tolist():
        text = (
            f"{evidence.pair(index)} carry the same information (in-group correlation {signed(correlation[0, index])}). If one "
            "is a flag or a total of the other, leave it out with --rewards."
        )
        sure = evidence.estimates.sureness(np.abs(correlation[:, index]) >= SAME_INFORMATION)
        findings.append(
            Finding("same_information", "watch", "One reward twice", text, sure, evidence.pair_numbers([index]))
        )
    return findings


def _few_groups(evidence: Evidence) -> list[Finding]:
    groups = evidence.source.groups
    with_signal = round(groups * (1 - evidence.overall.zero_signal_groups))
    if with_signal >= FEW_GROUPS or with_signal == 0:
        return []
    text = (
        f"Only {with_signal} of the {groups} groups carry signal. Take every statement here as tentative, and look again with "
        f"at least {FEW_GROUPS}."
    )
    return [Finding("few_groups", "watch", "Few groups", text, None, {"groups_with_signal": float(with_signal)})]
