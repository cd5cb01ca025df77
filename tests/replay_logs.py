"""Small logs with a gold column, written as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gd2po.logs.choices import ColumnChoices
from gd2po.logs.reward_log import RewardLog


def write(path: Path, columns: dict[str, Any]) -> Path:
    """A table by columns; NaN is an empty cell."""
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    cells = (",".join("" if value != value else str(value) for value in row) for row in rows)
    path.write_text("\n".join([",".join(names), *cells]) + "\n", encoding="utf-8")
    return path


def fooled(prompts: int = 40, size: int = 6, seed: int = 0) -> dict[str, Any]:
    """Two graders of a quality, each badly fooled by a tenth of the rollouts, a reward of its own, and the quality."""
    random = np.random.default_rng(seed)
    count = prompts * size
    quality = random.random(count)
    graders = {
        name: (quality + 3 * (random.random(count) < 0.1) + 0.05 * random.normal(size=count)).round(4)
        for name in ("grader_a", "grader_b")
    }
    return {
        "step": np.zeros(count, int), "group": np.arange(count) // size, **graders,
        "brief": random.random(count).round(4), "quality": quality.round(4),
    }  # fmt: skip


def open_log(path: Path, **choices: Any) -> RewardLog:
    """The log of a file."""
    return RewardLog(path, ColumnChoices(**choices))
