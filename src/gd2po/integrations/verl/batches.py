"""verl's batches as reward matrices: the legacy trainer's `DataProto` and the v1 trainers' keys in TransferQueue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd2po.errors import InvalidInputError
from gd2po.integrations.components import matrix_of_columns, matrix_of_samples, number_groups

TOKENS = ("prompts", "responses")
"""Fields of TransferQueue with the token ids of a row."""


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What a batch of R rows says: N rollouts with K rewards."""

    rewards: Tensor
    """(N, K)"""
    final_rows: Tensor
    """(N,) the row of each rollout that stands for it."""
    rollout_of_row: Tensor
    """(R,) the rollout that each row belongs to; -1 for padding."""
    prompts: Sequence[Tensor] = ()
    """N prompts as token ids; empty unless they are asked for."""
    completions: Sequence[Tensor] = ()
    """The same for the completions."""


def from_non_tensor_batch(
    data: Any, reward_keys: Sequence[str], rollouts_per_prompt: int, *, with_tokens: bool
) -> Rollouts:
    """The batch of the legacy trainer: every row is a rollout."""
    columns, uids = data.non_tensor_batch, data.non_tensor_batch.get("uid")
    if uids is None:
        raise InvalidInputError("`uid` is missing in the batch: it tells which rollouts share a prompt.")
    for key in reward_keys:
        if key not in columns:
            raise InvalidInputError(
                f"The batch has no reward {key!r}, it has: {', '.join(sorted(columns))}. The reward function must "
                "return a dictionary with 'score' and every component."
            )
    sizes = number_groups(uids).bincount()
    if int(sizes.min()) < rollouts_per_prompt:
        uid = list(dict.fromkeys(uids))[int(sizes.argmin())]
        raise InvalidInputError(
            f"Group {uid} has {int(sizes.min())} of its {rollouts_per_prompt} rollouts in this batch. A group must "
            "not be spread over several batches: its rollouts are compared with each other."
        )
    names = [f"Row {row} (uid {uid})" for row, uid in enumerate(uids)]
    rewards = matrix_of_columns([columns[key] for key in reward_keys], names, reward_keys)
    rows = torch.arange(len(rewards))
    prompts, completions = _without_padding(data.batch) if with_tokens else ((), ())
    return Rollouts(rewards, rows, rows, prompts, completions)


def _without_padding(batch: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The token ids of prompts and responses, which the legacy trainer pads to (R, P) and (R, T)."""
    width = batch["prompts"].shape[1]
    masks = batch["attention_mask"].bool()
    prompts = [ids[mask] for ids, mask in zip(batch["prompts"], masks[:, :width], strict=True)]
    return prompts, [ids[mask] for ids, mask in zip(batch["responses"], masks[:, width:], strict=True)]


def from_transfer_queue(batch: Any, reward_keys: Sequence[str], *, with_tokens: bool) -> Rollouts:
    """The batch of a v1 trainer, with keys `{uid}_{session}_{index}`: a session is a rollout, its last row is final."""
    import transfer_queue

    sessions: dict[str, int] = {}
    final: list[tuple[int, int]] = []
    rollout_of_row = []
    for row, (key, tag) in enumerate(zip(batch.keys, batch.tags, strict=True)):
        if tag.get("is_padding", False):
            rollout_of_row.append(-1)
            continue
        session, position = _split_key(key)
        rollout = sessions.setdefault(session, len(sessions))
        if rollout == len(final):
            final.append((position, row))
        final[rollout] = max(final[rollout], (position, row))
        rollout_of_row.append(rollout)
    if not final:
        raise InvalidInputError("This batch holds padding alone: there is nothing to compute advantages of.")
    _check_whole_groups(batch, transfer_queue.kv_list(batch.partition_id))

    final_rows = [row for _, row in final]
    keys = [batch.keys[row] for row in final_rows]
    # A colocated reward model writes its components as fields of their own, reward functions write into extra_fields.
    fields = ["extra_fields", *reward_keys, *(TOKENS if with_tokens else ())]
    data = transfer_queue.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    tokens = [list(data.pop(name)) if with_tokens else [] for name in TOKENS]
    samples: list[dict[str, Any]] = [{} for _ in keys]
    for name in data.keys():  # noqa: SIM118  # iterating over a TensorDict gives its rows
        for sample, value in zip(samples, list(data[name]), strict=True):
            value = getattr(value, "data", value) if name == "extra_fields" else value
            own = value.get("reward_extra_info", {}) if name == "extra_fields" else {name: value}
            sample.update(own)
    rewards = matrix_of_samples(samples, [f"Sample {key}" for key in keys], reward_keys)
    return Rollouts(rewards, torch.tensor(final_rows), torch.tensor(rollout_of_row), *tokens)


def _split_key(key: str) -> tuple[str, int]:
    """The session and the position in it."""
    session, _, position = key.rpartition("_")
    if not session or not position.isdecimal():
        raise InvalidInputError(f"A key of the batch must be {{uid}}_{{session}}_{{index}}: got {key!r}.")
    return session, int(position)


def uid_of(key: str) -> str:
    """The group that a row of a v1 trainer belongs to."""
    return _split_key(key)[0].rpartition("_")[0]


def _check_whole_groups(batch: Any, partitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise where rollouts of a prompt of this batch wait in the queue for another batch."""
    uids = {uid_of(key) for key in batch.keys}
    mine = set(batch.keys)
    for key, tag in partitions.get(batch.partition_id, {}).items():
        uid = key.rpartition("_")[0].rpartition("_")[0]
        if key not in mine and uid in uids and not tag.get("is_prompt", False):
            raise InvalidInputError(
                f"The group of {uid} is spread over several batches: {key} is in TransferQueue and not in this batch. "
                "Its rollouts are compared with each other, so a sampler of the replay buffer must take whole groups."
            )
