"""How a run's policy scored on held-out prompts, from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from gd2po.diagnosis.model import HeldOut, HeldOutScore
from gd2po.errors import DataFormatError
from gd2po.runs.evaluations import read_evaluations, shares_over


def held_out_section(folder: Path | None) -> tuple[HeldOut | None, list[str]]:
    """The held-out scores of a run, and what could not be read of them, in sentences.

    Args:
        folder: of the run; None where the log is in none.
    """
    if folder is None:
        return None, []
    try:
        found = read_evaluations(folder)
    except DataFormatError as error:
        return None, [f"No held-out scores: {str(error).rstrip('. ')}."]
    if not found:
        return None, []
    last = found[-1]
    shares = shares_over(found)
    scores = [
        HeldOutScore(name, part == "metrics" and name in shares, _values(found, part, name))
        for part in ("metrics", "rewards")
        for name in _mapping(last.get(part))
    ]
    prompts = last.get("num_prompts")
    if not scores or not isinstance(prompts, int):
        return None, [f"No held-out scores: {folder} has evaluations without any."]
    return HeldOut(prompts, [entry["step"] for entry in found], scores), []


def _values(found: Sequence[Mapping[str, Any]], part: str, name: str) -> list[float | None]:
    values = [_mapping(entry.get(part)).get(name) for entry in found]
    return [float(value) if isinstance(value, Real) else None for value in values]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
