"""Words that the views share: which methods come first, on what they were evaluated, how families are known."""

from __future__ import annotations

from collections.abc import Sequence

from gd2po.core import Setting
from gd2po.diagnosis.model import (
    Action,
    ConditionOrigin,
    Diagnosis,
    Explorer,
    FamilyNumbers,
    FamilyOrigin,
    HeldOutScore,
    MethodNumbers,
    RewardNumbers,
)
from gd2po.diagnosis.numbers.sums import threshold_index
from gd2po.diagnosis.verdict.limits import LEAST_KEPT_CHANGE
from gd2po.report.commands import program
from gd2po.report.wording import UNDEFINED, join, number, percent

_MAIN_LABELS = ("consensus", "gdpo", "grpo", "gd2po", "gd2po-hard", "gd2po-auto")

MOST_METHODS = 6
"""Methods that are shown at once."""


def main_methods(methods: Sequence[MethodNumbers]) -> tuple[list[MethodNumbers], list[MethodNumbers]]:
    """The methods to show, at most six with the run's own first, and the others."""
    labels = [Setting.named(label, "main methods").label for label in _MAIN_LABELS]
    own = [method for method in methods if method.is_run]
    usual = [method for label in labels for method in methods if method.name == label and not method.is_run]
    shown = [*own, *usual][:MOST_METHODS]
    return shown, [method for method in methods if method not in shown]


def warnings_of(methods: Sequence[MethodNumbers]) -> list[str]:
    """What the methods warn of, each sentence once with those that say it, as far as it does not name its method."""
    by_text: dict[str, list[str]] = {}
    for method in methods:
        for text in method.warnings:
            names = by_text.setdefault(text, [])
            if method.method not in names:
                names.append(method.method)
    return [
        text if any(text.startswith(f"{name}:") for name in names) else f"{join(names, most=None)}: {text}"
        for text, names in by_text.items()
    ]


def recommended_threshold(explorer: Explorer) -> float:
    """The largest threshold that leaves every reward enough; 0 if it does nothing that the marked one does not."""
    marked, other = (threshold_index(at) for at in (explorer.marked_threshold, explorer.recommended_threshold))
    kept: list[Sequence[float | None]] = [explorer.keep_rate]
    kept += [*explorer.retained.values(), *explorer.retained_negative.values()]
    changes = [abs((shares[marked] or 0) - (shares[other] or 0)) for shares in kept]
    return explorer.recommended_threshold if max(changes) >= LEAST_KEPT_CHANGE else 0.0


def to_paste(action: Action) -> str | None:
    """The command of an action as this environment calls it, or the lines of a configuration; None for neither."""
    if action.command is None:
        return action.configuration
    return f"{program()}{action.command.removeprefix('gd2po')}"


def score_in_words(score: HeldOutScore, value: float | None) -> str:
    """A held-out score, in percent where it is a share."""
    if value is None:
        return UNDEFINED
    return f"{100 * value:.1f}%" if score.is_share else f"{value:.3f}"


def change_in_words(score: HeldOutScore) -> str:
    """How far a held-out score moved from the first evaluation to the last, in points where it is a share."""
    first, last = score.values[0], score.values[-1]
    if first is None or last is None:
        return UNDEFINED
    change = f"{100 * (last - first):+.1f} points" if score.is_share else f"{last - first:+.3f}"
    return change.replace("-", "−")


def weight_in_words(reward: RewardNumbers) -> str:
    """The weight of a reward, or from where to where it moves; nothing for 1."""
    if reward.weight_range is not None:
        return f"weight {number(reward.weight_range[0])} to {number(reward.weight_range[1])}"
    return "" if reward.weight == 1 else f"weight {number(reward.weight)}"


ORIGINS: dict[FamilyOrigin, str] = {
    "declared": "declared",
    "proposed": "proposed by this log",
    "suspected": "suspected: they agree in some groups only",
}
"""How a family is known."""


def origin_in_words(family: FamilyNumbers) -> str:
    """How a family is known, and how surely."""
    sure = "" if family.certainty is None else f" ({percent(family.certainty)} of resamples)"
    return f"{ORIGINS[family.origin]}{sure}"


def excerpt(text: str | None, longest: int) -> str:
    r"""The beginning of a text of the log in one line of printable characters, for a terminal.

    Example:
        >>> excerpt("one\n\x1b[31mtwo", 12)
        'one [31mtwo'
    """
    if text is None:
        return "(the log holds no completions)"
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


CONDITIONS_TITLES: dict[ConditionOrigin, str] = {
    "none": "as given",
    "run": "this run",
    "given": "asked for",
    "tried": "tried",
}
"""Where conditions come from, in a word or two."""


def sample_note(diagnosis: Diagnosis) -> str | None:
    """On how much of the log the methods were evaluated; None if on all of it."""
    sample, source = diagnosis.method_sample, diagnosis.source
    if sample.steps < source.steps:
        return f"from {sample.steps:,} of {source.steps:,} steps, evenly spaced"
    if sample.rollouts < source.rollouts:
        return f"from {sample.rollouts:,} of {source.rollouts:,} rollouts"
    return None
