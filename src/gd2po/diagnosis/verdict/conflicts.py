"""The verdict: few rules, each a sentence with the numbers it rests on and how sure it is.

This file holds the rules on conflicts, `findings.py` those on single rewards and on filters, `limits.py` the numbers
that they compare with. A rule's sureness is the share of the bootstrap resamples of the log's groups in which it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gd2po.diagnosis.model import Finding, PairKind, Verdict, VerdictKind
from gd2po.diagnosis.numbers.batch import Bools
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.verdict.evidence import Evidence, Numbers
from gd2po.diagnosis.verdict.limits import (
    LEAST_CANCELLATION,
    LEAST_CONFLICT_RATE,
    LEAST_CORRELATION,
    STARVED_RETAINED,
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
    by_kind: dict[PairKind, list[int]] = {"oppose": [], "agree": [], "unrelated": [], "unclear": []}
    for index in pairs:
        by_kind[evidence.kinds[index]].append(index)
    kind, headline = _headline(evidence, by_kind)
    rules = {"oppose": _opposing, "agree": _agreeing, "unrelated": _unrelated, "unclear": _unclear}
    return kind, headline, [rules[name](evidence, some) for name, some in by_kind.items() if some]


def _headline(evidence: Evidence, by_kind: dict[PairKind, list[int]]) -> tuple[VerdictKind, str]:
    """What the pairs that matter amount to, and the answer in a line."""
    kinds = {kind for kind, pairs in by_kind.items() if pairs}
    if "oppose" in kinds:
        names = join([evidence.pair(index) for index in by_kind["oppose"]], most=2)
        if "agree" in kinds:
            return "mixed", f"A trade-off ({names}) beside conflicts that look like noise. Do not filter hard."
        return "trade_off", f"A trade-off: {names}. Do not filter hard; settle it with weights."
    if kinds == {"agree"}:
        threshold, share = evidence.filter_advice()
        if share is None:
            return "noise", "The conflicts look like noise, but any filter would starve a reward."
        how = "filter them hard" if threshold == 1 else f"filter them, with a threshold of {threshold:g}"
        return "noise", f"The conflicts look like noise: {how}."
    if "agree" in kinds:
        return "mixed", "Some conflicts look like noise, others may not. Filter lightly."
    if "unrelated" in kinds:
        return (
            "unclear",
            "The rewards are unrelated: their conflicts are not noise. Do not filter hard.",
        )
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
    text = (
        f"{reward.name} is the only reward, so nothing can conflict and no filter drops anything: GDPO and GD²PO are "
        f"GRPO up to the whitening of the batch. It is constant in {with_interval(reward.constant_groups)} of the "
        "groups, which give no gradient."
    )
    advice = "If it is a sum, log its parts as columns of their own to see whether they disagree."
    numbers: Numbers = {"constant_groups": reward.constant_groups.value}
    finding = Finding("one_reward", "note", "One reward", text, advice, None, numbers)
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
    """Conflicts between rewards that agree on the whole: noise, which a filter may drop as far as no reward starves."""
    threshold, share = evidence.filter_advice()
    text = f"{evidence.describe(pairs)}, although they agree overall. Such conflicts are mostly noise."
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold, "least_retained": share}
    if share is None:
        most = percent(1 - STARVED_RETAINED)
        advice = f"Leave them in: every threshold takes more than {most} of some reward's signal or penalties."
    else:
        name, side, least = evidence.least_retained(threshold)
        numbers["least_retained"] = least
        advice = (
            f"Filter with snr_threshold {threshold:g}: it drops {percent(evidence.filtered(threshold))} of the "
            f"rollouts and leaves every reward at least {percent(share)} of its signal and of its penalties (least: "
            f"{percent(least)} of the {side} of {name})."
        )
        if share == evidence.explorer.min_retained:
            advice += ' "auto" finds such a threshold for every batch.'
    sure = _least_sure(evidence, evidence.estimates.correlation[:, pairs] > LEAST_CORRELATION)
    return Finding("noise", "act", "Conflicts that look like noise", text, advice, sure, numbers)


def _opposing(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Rewards that pull against each other by nature: weights have to settle that, and no filter may hide it."""
    threshold = evidence.explorer.recommended_threshold
    name, side, least = evidence.least_retained(1)
    text = (
        f"{evidence.describe(pairs)}: where a rollout beats its group on one, it tends to fall behind on the other. "
        f"That is a trade-off, not noise. The hard filter would drop {percent(evidence.filtered(1))} of the "
        f"rollouts and keep {percent(least)} of the {side} of {name}."
    )
    advice = f"Do not filter hard. Say what matters more with reward_weights, or use GDPO; {_at_most(threshold)}."
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold, "least_retained_hard": least}
    sure = _least_sure(evidence, evidence.estimates.correlation[:, pairs] < -LEAST_CORRELATION)
    return Finding("trade_off", "act", "A trade-off", text, advice, sure, numbers)


def _unrelated(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Conflicts between rewards that neither agree nor oppose each other."""
    threshold = evidence.explorer.recommended_threshold
    text = (
        f"{evidence.describe(pairs)}. They neither agree nor disagree as a rule, so a conflict is no sign of noise: "
        "dropping it drops good work on both."
    )
    advice = f"{_hard_costs(evidence)}; {_at_most(threshold)}."
    sure = _least_sure(evidence, np.abs(evidence.estimates.correlation[:, pairs]) <= LEAST_CORRELATION)
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold}
    return Finding("unrelated", "watch", "Unrelated rewards", text, advice, sure, numbers)


def _unclear(evidence: Evidence, pairs: Sequence[int]) -> Finding:
    """Conflicts of which the log does not say what they are."""
    threshold = evidence.explorer.recommended_threshold
    text = (
        f"{evidence.describe(pairs)}. That leaves open whether they agree (above +{LEAST_CORRELATION:g}), oppose each "
        f"other (below −{LEAST_CORRELATION:g}) or neither."
    )
    advice = f"Until more data decides, treat it as a trade-off. {_hard_costs(evidence)}; {_at_most(threshold)}."
    numbers = evidence.pair_numbers(pairs) | {"snr_threshold": threshold}
    return Finding("unclear", "watch", "Not clearly noise or a trade-off", text, advice, None, numbers)


def _least_sure(evidence: Evidence, holds: Bools) -> float | None:
    """How sure the least sure of several pairs (R, pairs) is."""
    shares = [evidence.estimates.sureness(column) for column in np.asarray(holds).T]
    return min((share for share in shares if share is not None), default=None)


def _hard_costs(evidence: Evidence) -> str:
    name, side, least = evidence.least_retained(1)
    return f"The hard filter would keep {percent(least)} of the {side} of {name}"


def _at_most(threshold: float) -> str:
    return (
        f"if you filter, stay at or below a threshold of {threshold:g}" if threshold > 0 else "no threshold is harmless"
    )
