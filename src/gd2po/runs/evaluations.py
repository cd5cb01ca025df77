"""The held-out scores of a run, in its folder: a line per evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gd2po.errors import DataFormatError
from gd2po.report.documents import plain
from gd2po.runs.files import write_text

EVALUATIONS = "evaluations.jsonl"


def write_evaluation(folder: Path, step: int, scores: dict[str, Any]) -> None:
    """Write the held-out scores of a step. A resumed run writes those of its first steps again."""
    path = folder / EVALUATIONS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    by_step = {json.loads(line)["step"]: line for line in lines}
    by_step[step] = json.dumps(plain({"step": step, **scores}), ensure_ascii=False, allow_nan=False)
    write_text(path, "".join(f"{by_step[known]}\n" for known in sorted(by_step)))


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The held-out scores of a run, as `write_evaluation` took them, in the order of their steps.

    Returns:
        An entry per evaluation; none where the run has scored nothing.

    Raises:
        DataFormatError: the file cannot be read, or holds something else.
    """
    path = folder / EVALUATIONS
    if not path.is_file():
        return []
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise DataFormatError(f"{path} cannot be read: {error}") from error
    if not all(isinstance(entry, dict) and isinstance(entry.get("step"), int) for entry in found):
        raise DataFormatError(f"{path} does not hold the held-out scores of a run: every line needs a step.")
    return sorted(found, key=lambda entry: entry["step"])


def shares_over(evaluations: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Metrics that are a share of the prompts wherever they are defined.

    A graded one may by chance be 0 or 1 at every prompt of one evaluation.

    Args:
        evaluations: as of `read_evaluations`.

    Example:
        >>> early = {"metrics": {"exact": 0.0, "quality": 0.0}, "shares": ["exact", "quality"]}
        >>> late = {"metrics": {"exact": 0.5, "quality": 0.3}, "shares": ["exact"]}
        >>> sorted(shares_over([early, late]))
        ['exact']
    """
    claimed, graded = set[str](), set[str]()
    for entry in evaluations:
        metrics, shares = entry.get("metrics"), entry.get("shares")
        for name, mean in metrics.items() if isinstance(metrics, Mapping) else ():
            if isinstance(shares, list) and name in shares:
                claimed.add(name)
            elif mean is not None:
                graded.add(name)
    return frozenset(claimed - graded)
