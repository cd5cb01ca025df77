"""Words that the views share: which methods come first, on what they were evaluated, how families are known."""

from __future__ import annotations

from collections.abc import Sequence

from gd2po.core import Setting
from gd2po.diagnosis.model import (
    ConditionOrigin,
    Diagnosis,
    FamilyNumbers,
    FamilyOrigin,
    MethodNumbers,
    RewardNumbers,
)
from gd2po.report.wording import join, number, percent

_MAIN_LABELS = ("grpo", "gdpo", "gd2po", "gd2po-hard", "gd2po-auto")


def main_methods(methods: Sequence[MethodNumbers]) -> tuple[list[MethodNumbers], list[MethodNumbers]]:
    """The methods to show, the run's own first, and the others."""
    labels = [Setting.named(label, "main methods").label for label in _MAIN_LABELS]
    own = [method for method in methods if method.is_run]
    usual = [method for label in labels for method in methods if method.name == label and not method.is_run]
    shown = [*own, *usual]
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
        text if any(text.startswith(f"{name}:") for name in names) else f"{join(names, most=len(names))}: {text}"
        for text, names in by_text.items()
    ]


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
