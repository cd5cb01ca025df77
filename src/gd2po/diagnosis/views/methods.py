"""Which of the many methods a reader sees first, and what they were evaluated on, in words."""

from __future__ import annotations

from collections.abc import Sequence

from gd2po.core import Setting
from gd2po.diagnosis.model import ConditionOrigin, Diagnosis, MethodNumbers, RewardNumbers
from gd2po.report.wording import join, number

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
