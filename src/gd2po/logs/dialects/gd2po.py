"""The rollout log of gd2po itself, which `gd2po.logs.rollout_log` writes."""

from __future__ import annotations

from gd2po.logs.dialects.base import Dialect
from gd2po.logs.names import REWARD_PREFIX
from gd2po.runs.rollout_files import FOLDER


def _recognises(columns: set[str]) -> bool:
    return {"step", "group"} <= columns and any(name.startswith(REWARD_PREFIX) for name in columns)


DIALECT = Dialect(
    name="gd2po",
    title="rollouts of `gd2po train` or GD2POTrainer",
    recognises=_recognises,
    step="step",
    group="group",
    prompt="prompt",
    completion="completion",
    length="completion_tokens",
    folders=(FOLDER,),
    how_to_log="gd2po train, GD2POTrainer with log_rollouts=True",
    # A step with several generated batches has a file for each until it is rolled up, with `group` from 0 in each.
    whole_groups_per_file=True,
)
