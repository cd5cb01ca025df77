"""Generated rollouts of all processes as rows that can be picked and joined, whatever their padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from gd2po.errors import ConfigError
from gd2po.integrations.trl.rows import PROMPT_COLUMNS, loss_mask, trim_padding, unknown_columns

_MADE_AGAIN = ("advantages", "num_items_in_batch")
"""Entries that depend on which rows are in the batch."""


@dataclass(frozen=True, eq=False)
class Generated:
    """N rollouts of all processes, the same on each of them, each group in one piece."""

    inputs: Mapping[str, Tensor]
    """What TRL's loss takes, by row."""
    rewards: Tensor
    """(N, K)"""
    logs: Mapping[str, list[Any]]
    """Columns of TRL's completions table, N entries each."""
    pad_token_id: int

    @staticmethod
    def gathered(
        output: Mapping[str, Any], rewards: Tensor, logs: Mapping[str, list[Any]], accelerator: Any, pad_token_id: int
    ) -> Generated:
        """The rollouts of all processes.

        Args:
            output: of TRL's `_generate_and_score_completions` on this process.
            rewards: (N, K) of all processes.
            logs: of all processes.
            accelerator: that they share.
            pad_token_id: of the tokenizer.

        Raises:
            ConfigError: an entry whose rows are not rollouts, such as images.
        """
        if unknown := unknown_columns(output):
            raise ConfigError(
                "`dynamic_sampling` moves rollouts from batch to batch, and it is not known which rollout each entry "
                f"of {unknown[0]!r} belongs to: set it to false."
            )
        inputs = {}
        for key, value in output.items():
            if isinstance(value, Tensor) and key not in _MADE_AGAIN:
                filler = _filler(key, pad_token_id)
                even = accelerator.pad_across_processes(value, dim=1, pad_index=filler, pad_first=key in PROMPT_COLUMNS)
                inputs[key] = accelerator.gather(even)
        return Generated(inputs, rewards, logs, pad_token_id)

    @property
    def token_counts(self) -> Tensor:
        """(N,) completion tokens that carry loss."""
        return loss_mask(self.inputs).sum(1)

    def joined(self, other: Generated) -> Generated:
        """These rows, then those of the other."""
        inputs = {}
        for key, value in self.inputs.items():
            width = max(value.shape[1], other.inputs[key].shape[1])
            filler = _filler(key, self.pad_token_id)
            both = [_widened(one, width, filler, key in PROMPT_COLUMNS) for one in (value, other.inputs[key])]
            inputs[key] = torch.cat(both)
        logs = {name: [*entries, *other.logs[name]] for name, entries in self.logs.items()}
        return Generated(inputs, torch.cat([self.rewards, other.rewards]), logs, self.pad_token_id)

    def picked(self, rows: Tensor) -> Generated:
        """Some of the rows, in the order given."""
        inputs = {key: value[rows] for key, value in self.inputs.items()}
        logs = {name: [entries[row] for row in rows.tolist()] for name, entries in self.logs.items()}
        return Generated(inputs, self.rewards[rows], logs, self.pad_token_id)

    def output(self, accelerator: Any, *, trim: bool) -> dict[str, Any]:
        """The rows of this process, of equally many on each, as TRL's loss takes them; the advantages are left out.

        Args:
            accelerator: that the processes share.
            trim: take away padding that none of these rows needs.
        """
        count = len(self.rewards) // accelerator.num_processes
        first = accelerator.process_index * count
        local = {key: value[first : first + count] for key, value in self.inputs.items()}
        if trim:
            trim_padding(local, prompts=True)
        return {**local, "num_items_in_batch": self.token_counts.sum()}


def _filler(key: str, pad_token_id: int) -> int:
    """What TRL pads an entry with."""
    return {"prompt_ids": pad_token_id, "completion_ids": pad_token_id, "tool_mask": 1}.get(key, 0)


def _widened(value: Tensor, width: int, filler: int, left: bool) -> Tensor:
    missing = width - value.shape[1]
    return pad(value, (missing, 0) if left else (0, missing), value=filler)
