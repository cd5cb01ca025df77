"""Which of the many methods a reader sees first, and what they were evaluated on, in words."""

from __future__ import annotations

from collections.abc import Sequence

from gd2po.core import Setting
from gd2po.diagnosis.model import Diagnosis, MethodNumbers

_MAIN_LABELS = ("grpo", "gdpo", "gd2po", "gd2po-hard", "gd2po-auto")


def main_methods(methods: Sequence[MethodNumbers]) -> tuple[list[MethodNumbers], list[MethodNumbers]]:
    """The methods to show, the run's own first, and the others."""
    labels = [Setting.named(label, "main methods").label for label in _MAIN_LABELS]
    own = [method for method in methods if method.is_run]
    usual = [method for label in labels for method in methods if method.name == label and not method.is_run]
    shown = [*own, *usual]
    return shown, [method for method in methods if method not in shown]


def sample_note(diagnosis: Diagnosis) -> str | None:
    """On how much of the log the methods were evaluated; None if on all of it."""
    sample, source = diagnosis.method_sample, diagnosis.source
    if sample.steps < source.steps:
        return f"from {sample.steps:,} of {source.steps:,} steps, evenly spaced"
    if sample.rollouts < source.rollouts:
        return f"from {sample.rollouts:,} of {source.rollouts:,} rollouts"
    return None
