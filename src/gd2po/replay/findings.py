"""What follows from a replay, in words."""

from __future__ import annotations

from collections.abc import Iterator

from gd2po.replay.model import FEWEST_PROMPTS, GoldNumbers, MethodOnGold, Replay
from gd2po.replay.views.wording import difference
from gd2po.report.findings import Finding, edge_findings, level_of
from gd2po.report.intervals import sign_of
from gd2po.report.wording import above_and_below, counted, join

FEW_PROMPTS = 100
"""Labelled prompts below which an interval is wide whatever the methods do."""


def headline_of(replay: Replay) -> str:
    """The answer in a sentence."""
    baseline = replay.baseline
    if all(gold.labelled_prompts < FEWEST_PROMPTS for gold in replay.golds):
        return f"Too few labelled prompts to tell the methods apart: it takes {FEWEST_PROMPTS}"
    others = [label for label in replay.labels if label != baseline]
    if replay.held_out:
        more = {label: sum(_sign(gold, label) > 0 for gold in replay.golds) for label in others}
        less = {label: sum(_sign(gold, label) < 0 for gold in replay.golds) for label in others}
        if not any(more.values()) and not any(less.values()):
            return f"Whichever reward is held out, no method raises it beyond noise more or less than {baseline}"
        best = max(others, key=lambda label: more[label] - less[label])
        return (
            f"Of {len(replay.golds)} rewards held out in turn, {best} raises {more[best]} more than {baseline} and "
            f"{less[best]} less"
        )
    (gold,) = replay.golds
    above, below = ([label for label in others if _sign(gold, label) == sign] for sign in (1, -1))
    if not above and not below:
        return f"On {gold.gold}, no method differs from {baseline} beyond noise"
    return f"On {gold.gold}, {above_and_below(above, below, baseline)}"


def findings_of(replay: Replay) -> list[Finding]:
    """All there is to say: the differences, then what they rest on."""
    findings: list[Finding] = []
    for gold in replay.golds:
        findings += _differences(replay, gold)
    if replay.held_out:
        findings.append(
            Finding(
                "note",
                "There is no gold column: each reward was held out in turn",
                "A held-out reward has errors of its own, and rewards of one kind share theirs. Raising it shows that "
                "a method does not live on the errors of the others alone; it does not show which method serves what "
                "you want. A reward that measures another goal falls where methods serve theirs, which is no fault.",
            )
        )
    for gold in replay.golds:
        findings += _few_labels(replay, gold)
    return [*findings, *_single_reward(replay), *_edges(replay)]


def _sign(gold: GoldNumbers, label: str) -> int:
    """1, −1 or 0: the method ends above, below, or within noise of the baseline."""
    return sign_of(next(method.difference for method in gold.methods if method.label == label))


def _differences(replay: Replay, gold: GoldNumbers) -> Iterator[Finding]:
    better, worse = ([m for m in gold.methods if _sign(gold, m.label) == sign] for sign in (1, -1))
    if not better and not worse:
        return
    title = above_and_below([one.label for one in better], [one.label for one in worse], replay.baseline)
    shown = [f"{one.label} {difference(one.difference)}{_at_same_distance(one)}" for one in [*better, *worse]]
    yield Finding(
        level_of(better, worse), f"{gold.gold}: {title}", f"At the end, {'; '.join(shown)}.".replace(" *", "")
    )


def _at_same_distance(method: MethodOnGold) -> str:
    """Whether the difference holds where both policies are as far from the logged one."""
    known = {distance: at.difference for distance, at in method.at_distance.items() if at and at.difference}
    same = [distance for distance, estimate in known.items() if sign_of(estimate) == sign_of(method.difference) != 0]
    if not known:
        return ""
    return f" (also at {join(same)} nats)" if same else " (not at equal distances)"


def _few_labels(replay: Replay, gold: GoldNumbers) -> Iterator[Finding]:
    known = f"{gold.gold} is known for {counted(gold.labels, 'rollout')} of {counted(gold.labelled_prompts, 'prompt')}"
    if gold.labelled_prompts < FEWEST_PROMPTS:
        text = f"Too few for an interval: all of it may be noise. It takes {FEWEST_PROMPTS} prompts, better more."
        yield Finding("act", known, text)
    elif gold.labelled_prompts < FEW_PROMPTS:
        text = "Intervals are widened for so few, and small differences stay within them. More labelled prompts help"
        yield Finding("watch", known, f"{text} more than more labels of the same prompts.")
    elif gold.labels < replay.rollouts:
        share = f"of {counted(replay.rollouts, 'rollout')} and {counted(replay.prompts, 'prompt')} in the log"
        yield Finding("note", known, f"That is out {share}. The others are learned on and cannot be judged.")


def _single_reward(replay: Replay) -> Iterator[Finding]:
    if all(len(gold.rewards) == 1 for gold in replay.golds):
        yield Finding(
            "watch",
            "One reward is left to learn from",
            "A single reward cannot conflict with another, so filters and weights have nothing to do here.",
        )


def _edges(replay: Replay) -> list[Finding]:
    chosen = [
        f"{method.label} on {gold.gold} ({method.learning_rate:g})"
        for gold in replay.golds
        for method in gold.methods
        if method.at_edge
    ]
    return edge_findings(
        chosen,
        "note",
        "At the highest, learning has settled and a higher one changes little. At the lowest, a method has most gold "
        "where it has learned least: its rewards mislead it from there on.",
    )
