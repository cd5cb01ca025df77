"""verl's rollout dump: one JSONL file per step. Written against verl 0.9.

The legacy trainer (trainer.use_v1=False) writes what a reward function returns beside its score, a column for each key.
The default trainer (v1) writes the total score alone, with a `uid` per completion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from gd2po.logs.dialects.base import Dialect, Groups, Rewards

UID_SUFFIX = r"_\d+_\d+$"
"""A uid is `{prompt}_{rollout}_{output}`."""

_UID = re.compile(r".+" + UID_SUFFIX)


def _by_uid(head: pa.Table, prompt: str | None) -> Groups | None:
    """The groups by the prompt's part of `uid`, where every uid has one."""
    if "uid" not in head.column_names:
        return None
    if not all(isinstance(uid, str) and _UID.match(uid) for uid in head.column("uid").to_pylist()):
        return None
    reason = "Groups come from the prompt's part of 'uid' ({prompt}_{rollout}_{output})."
    return Groups("column", "uid", id_suffix=UID_SUFFIX, reason=reason)


def _score_alone(head: pa.Table, prompt: str | None, candidates: Sequence[str]) -> Rewards | None:
    """The total score, where the dump has nothing else."""
    if list(candidates) != ["score"]:
        return None
    return Rewards(
        ["score"],
        "The dump holds the total score without its components: verl's default trainer (v1) does not write them. Set "
        "trainer.use_v1=False and let the reward function return a dict to get them.",
    )


DIALECT = Dialect(
    name="verl",
    title="verl's rollout dump",
    recognises=lambda columns: {"input", "output", "score", "step"} <= columns,
    step="step",
    prompt="input",
    completion="output",
    not_rewards=frozenset({"gts", "request_id", "overlong"}),
    find_groups=_by_uid,
    find_rewards=_score_alone,
    how_to_log="verl with trainer.rollout_data_dir=FOLDER",
    whole_groups_per_file=True,
    scatters_groups=True,  # the rows of a step are balanced over the devices
)
