"""The weights that the rewards had at each step, of runs whose weights move: the columns `weight/<reward>` of a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gd2po.errors import DataFormatError
from gd2po.logs.cells import to_numbers
from gd2po.logs.files import open_table
from gd2po.logs.layout import Layout
from gd2po.logs.names import WEIGHT_PREFIX
from gd2po.logs.tables.table import BadRows


def read_step_weights(paths: Sequence[Path], layout: Layout) -> dict[int, tuple[float, ...]]:
    """The weights of the K rewards by step; empty where the log has no columns of them.

    Files that cannot be read, which the reading of the rollouts reports, and cells without a number are left out.

    Args:
        paths: the files.
        layout: which column is the step, and which are the rewards.
    """
    if layout.step is None:
        return {}
    columns = [layout.step, *(f"{WEIGHT_PREFIX}{name}" for name in layout.reward_names)]
    found: dict[int, tuple[float, ...]] = {}
    for path in paths:
        try:
            table = open_table(path)
            if not set(columns) <= set(table.names):
                continue
            for _, batch in table.batches(columns, BadRows(skip=True)):
                numbers = [to_numbers(batch.column(name), decimal_comma=table.decimal_comma).values for name in columns]
                rows = np.unique(np.stack(numbers, axis=1), axis=0)
                rows = rows[np.isfinite(rows).all(1)]
                found.update({int(step): tuple(weights) for step, *weights in rows.tolist()})
        except DataFormatError:
            continue
    return found
