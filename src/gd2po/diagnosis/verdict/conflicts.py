"""The verdict: few rules, each a sentence with the numbers it rests on and how sure it is.

This file holds the rules on conflicts, `families.py` those inside families, `rewards.py` those on single rewards and on
filters, `limits.py` the numbers that they compare with. A rule's sureness is the share of the bootstrap resamples of
the log's groups in which it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gd2po.diagnosis.model import Finding, PairKind, Verdict, VerdictKind
from gd2po.diagnosis.numbers.batch import Bools
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.verdict.evidence import Evidence, Numbers
from gd2po.diagnosis.verdict.families import ACTING_RULES, EVIDENCE, family_finding
from gd2po.diagnosis.verdict.limits import (
    LEAST_CANCELLATION,
    LEAST_CONFLICT_RATE,
    LEAST_CORRELATION,
    SURE_ENOUGH,
)
from gd2po.diagnosis.verdict.rewards import side_findings
from gd2po.report.wording import join, percent, with_interval

_ORDER = {"act": 0, "good": 1, "watch": 2, "note": 3}


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a log: the findings on its conflicts first, then the others, the most urgent first."""
    kind, headline, main = _main(evidence)
    others = sorted(side_findings(evidence, kind), key=lambda finding: _ORDER[finding.level])
    return Verdict(headline, kind, [*main, *others])


def pair_kinds(estimates: Estimates) -> list[PairKind]:
    """What the in-group correlation of each pair says: whether they agree, oppose each other, or neither."""
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
    if not evidence.active or evidence.overall.zero_signal_groups == 1:
        return _no_signal(evidence)
    if len(evidence.active) == 1:
        return _one_reward(evidence)
    estimates = evidence.estimates
    harmless = (estimates.conflict_rate < LEAST_CONFLICT_RATE) | (estimates.cancellation < LEAST_CANCELLATION)
    if harmless[0]:
        return _no_conflict(evidence, harmless)
    rates = estimates.pair_conflict_rate[0]
    pairs = [index for index in range(len(rates)) if rates[index] >= LEAST_CONFLICT_RATE] or [int(rates.argmax())]
    pairs.sort(key=lambda index: -rates[index])
    inside = [family_finding(family) for family in evidence.families]
    by_kind: dict[PairKind, list[int]] = {"oppose": [], "agree": [], "unrelated": [], "unclear": []}
    for index in pairs:
        if evidence.kinds[index] == "oppose" or not evidence.is_inside(index):  # no family holds a trade-off
            by_kind[evidence.kinds[index]].append(index)
    kind, headline = _headline(evidence, inside, by_kind)
    rules = {"oppose": _opposing, "agree": _agreeing, "unrelated": _unrelated, "unclear": _unclear}
    return kind, headline, [*inside, *(rules[name](evidence, some) for name, some in by_kind.items() if some)]


def _headline(
    evidence: Evidence, inside: Sequence[Finding], by_kind: dict[PairKind, list[int]]
) -> tuple[VerdictKind, str]:
    """What the families, and the pairs between them that matter, amount to, and the answer in a line."""
    kinds = {kind for kind, pairs in by_kind.items() if pairs}
    gross = next((found for found in inside if found.rule in ACTING_RULES), None)
    if "oppose" in kinds:
        names = join([evidence.pair(index) for index in by_kind["oppose"]], most=2)
        if gross is not None:
            return "mixed", f"{gross.title}, beside a trade-off ({names}). Filter inside the family alone."
        if inside:
            return "mixed", f"A trade-off ({names}) beside rewards that agree. Leave both to the weighted sum."
        return "trade_off", f"A trade-off: {names}. Do not filter; settle it with weights."
    if gross is not None:
        return "blind_spot", f"{gross.title}: bound what one reward can do."
    if any(found.rule == "suspected_family" for found in inside):
        return "unclear", "Rewards agree in some groups and not in others: a blind spot, or two goals."
    if inside and kinds <= {"agree"}:
        return "noise", "The rewards agree, and a filter has nothing to gain from their conflicts."
    if kinds == {"agree"}:
        return "noise", "The rewards agree on the whole: say which of them measure the same thing."
    if "unrelated" in kinds:
        return "unclear", "Rewards are unrelated: their conflicts are not noise. Do not filter across them."
    return "unclear", "There are conflicts, but it is not clear whether they are noise or a trade-off."


def _no_signal(evidence: Evidence) -> tuple[VerdictKind, str, list[Finding]]:
    source = evidence.source
    numbers: Numbers = {"groups": source.groups, "single_rollout_groups": source.single_rollout_groups}
    if source.single_rollout_groups == source.groups:
        headline = "No group has two rollouts: there is nothing to compare."
        text = f"Each of the {source.groups:,} groups holds one rollout, so every advantage is 0."
        advice = "If the log has several completions per prompt, say what groups them with `group` or `group_size`."
    else:
        headline = "No reward tells rollouts apart: there is nothing to learn from."
        text = f"In all {source.groups:,} groups every reward is the same for all rollouts, so every advantage is 0."
        advice = "Check that the rewards can be earned, and that sampling gives different completions."
    return "no_signal", headline, [Finding("no_signal", "act", "No signal", text, advice, None, numbers)]


def _one_reward(evidence: Evidence) -> tuple[VerdictKind, str, list[Finding]]:
    reward = evidence.rewards[evidence.active[0]]
    silent = [other.name for other in evidence.rewards if other.counts and other.applies == 0]
    only = "the only reward that applied" if silent else "the only reward"
    text = (
        f"{reward.name} is {only}, so nothing can conflict and no filter drops anything: GDPO and GD²PO are "
        f"GRPO up to the whitening of the batch. It is constant in {with_interval(reward.constant_groups)} of the "
        "groups, which give no gradient."
    )
    advice = "If it is a sum, log its parts as columns of their own to see whether they disagree."
    numbers: Numbers = {"constant_groups": reward.constant_groups.value}
    finding = Finding("one_reward", "note", "One reward", text, advice, None, numbers)
    if silent:
        headline = f"{join(silent)} never applied: {reward.name} is the only reward that did."
        return "one_reward", headline, [finding]
    return "one_reward", "One reward: no conflicts are possible.", [finding]


def _no_conflict(evidence: Evidence, harmless: Bools) -> tuple[VerdictKind, str, list[Finding]]:
    overall = evidence.overall
    text = (
        f"The rewards disagree in {with_interval(overall.conflict_rate)} of the rollouts, and adding them up cancels "
        f"{with_interval(overall.cancellation)} of their signal."
    )
    advice = "GDPO and GD²PO would do nearly the same: choose on other grounds."
    numbers: Numbers = {"conflict_rate": overall.conflict_rate.value, "cancellation": overall.cancellation.value}
    sure = evidence.estimates.sureness(harmless)
    finding = Finding("no_conflict", "good", "Nothing to act on", text, advice, sure, numbers)
    return "no_conflict", "No conflict worth acting on.", [finding]


def _agreeing(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Rewards that agree on the whole and are of no family: declared so, or too many to look for families."""
    text = (
        f"{evidence.describe(pairs)}, although they agree on the whole. That alone is no reason to filter: "
        "two goals can agree too, and light errors average out in the sum."
    )
    advice = (
        "Say with reward_families which rewards measure the same thing: conflicts of these are errors. Leave the "
        "others to the weighted sum."
    )
    sure = _least_sure(evidence, evidence.estimates.correlation[:, pairs] > LEAST_CORRELATION)
    return Finding(
        "noise", "watch", "Rewards that agree on the whole", text, advice, sure, evidence.pair_numbers(pairs)
    )  # fmt: skip


def _opposing(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Rewards that pull against each other by nature: weights have to settle that, and no filter may hide it."""
    name, side, least = evidence.least_retained(1)
    text = (
        f"{evidence.describe(pairs)}: where a rollout beats its group on one, it tends to fall behind on the other. "
        f"That is a trade-off, not noise. The hard filter would drop {percent(evidence.filtered(1))} of the "
        f"rollouts and keep {percent(least)} of the {side} of {name}."
    )
    advice = (
        "Do not filter: leave them to the weighted sum (gdpo), and say what matters more with reward_weights. "
        f"Evidence: world trade-off in {EVIDENCE}."
    )
    numbers = evidence.pair_numbers(pairs) | {"least_retained_hard": least}
    sure = _least_sure(evidence, evidence.estimates.correlation[:, pairs] < -LEAST_CORRELATION)
    return Finding("trade_off", "act", "A trade-off", text, advice, sure, numbers)


def _unrelated(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Conflicts between rewards that neither agree nor oppose each other."""
    text = (
        f"{evidence.describe(pairs)}. They neither agree nor disagree as a rule, so a conflict is no sign of noise: "
        "dropping it drops good work on both."
    )
    advice = f"Leave them to the weighted sum (gdpo). {_hard_costs(evidence)}."
    sure = _least_sure(evidence, np.abs(evidence.estimates.correlation[:, pairs]) <= LEAST_CORRELATION)
    return Finding("unrelated", "watch", "Unrelated rewards", text, advice, sure, evidence.pair_numbers(pairs))


def _unclear(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Conflicts of which the log does not say what they are."""
    text = (
        f"{evidence.describe(pairs)}. That leaves open whether they agree (above +{LEAST_CORRELATION:g}), oppose each "
        f"other (below −{LEAST_CORRELATION:g}) or neither."
    )
    advice = f"Until more data decides, treat it as a trade-off: no filter. {_hard_costs(evidence)}."
    numbers = evidence.pair_numbers(pairs)
    return Finding("unclear", "watch", "Not clearly noise or a trade-off", text, advice, None, numbers)


def _least_sure(evidence: Evidence, holds: Bools) -> float | None:
    """How sure the least sure of several pairs (R, pairs) is."""
    shares = [evidence.estimates.sureness(column) for column in np.asarray(holds).T]
    return min((share for share in shares if share is not None), default=None)


def _hard_costs(evidence: Evidence) -> str:
    name, side, least = evidence.least_retained(1)
    return f"The hard filter would keep {percent(least)} of the {side} of {name}"
