"""The rollout log: the rewards of every rollout and what the advantages made of them, one Parquet file per batch."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import RunFolderError
from gd2po.logs import run_settings as settings_of_run
from gd2po.logs.dialects.gd2po import FOLDER
from gd2po.logs.names import REWARD_PREFIX, WEIGHT_PREFIX
from gd2po.logs.tables.table import PARQUET_DAMAGE
from gd2po.runs.files import write_with

logger = logging.getLogger(__name__)

_STEP_FILE = re.compile(r"step_(\d+)(?:_\d+)?\.parquet")


class RolloutLog:
    """Writes one file per generated batch into `<run folder>/rollouts`.

    Columns: `step`, `group` (unique within the file), `prompt`, `completion`, a column `reward/<name>` per reward as
    its function gave it (null where it does not apply), `advantage`, `kept`, `conflict`, `snr`, `keep_ratio`,
    `signal` (the method leaves the group one), `completion_tokens`; and, of runs whose weights move over the steps,
    a column `weight/<name>` per reward.

    A resumed run writes its steps again. Before its first write it removes what the interrupted run had logged from
    that step on, so the log holds every step once. A file of an earlier step that was cut off is set aside with a
    warning.

    Args:
        run_folder: the output folder of the run.
        run_settings: how the run is made, e.g. its method and reward weights; stored as JSON under `gd2po.run` in the
            schema metadata of every file, where `RewardLog.run_settings` finds it. Plain values only: text, finite
            numbers, booleans, None, and lists and mappings of them.

    Raises:
        InvalidInputError: `run_settings` holds something that JSON cannot, or more than 1 MiB.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from gd2po import gdpo_advantages
        >>> from gd2po.diagnosis import RewardLog
        >>> rewards, group_ids = torch.tensor([[1.0, 0.2], [0.0, 0.7]]), torch.tensor([0, 0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = RolloutLog(folder, {"method": "gdpo"}).write(
        ...         1, reward_names=["correct", "brief"], group_ids=group_ids, prompts=["Hi."] * 2,
        ...         completions=["Hello.", "Hi."], rewards=rewards, result=gdpo_advantages(rewards, group_ids),
        ...         token_counts=torch.tensor([2, 2]),
        ...     )
        ...     path.name, RewardLog(folder).run_settings
        ('step_000001.parquet', {'method': 'gdpo'})
    """

    def __init__(self, run_folder: str | Path, run_settings: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(run_folder) / FOLDER
        self._metadata = None if run_settings is None else {settings_of_run.KEY: settings_of_run.to_json(run_settings)}
        self._started = False

    def write(
        self,
        step: int,
        *,
        reward_names: Sequence[str],
        group_ids: Tensor,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rewards: Tensor,
        result: AdvantageResult,
        token_counts: Tensor,
        reward_weights: Sequence[float] | None = None,
    ) -> Path:
        """Write the N rollouts of one batch and return the file.

        Args:
            step: the optimizer step that trains on them, from 1.
            reward_names: K names.
            group_ids: (N,) integers.
            prompts: N texts or message lists.
            completions: N texts or message lists.
            rewards: (N, K); NaN where a reward does not apply.
            result: their advantages.
            token_counts: (N,) tokens of the completions.
            reward_weights: (K,) of this step, if they are others at other steps.

        Raises:
            RunFolderError: the folder holds the log of another run, and this run starts at step 1.
        """
        self._start(step)
        columns: dict[str, Any] = {
            "step": pa.array([step] * len(prompts), pa.int64()),
            "group": group_ids.cpu().numpy(),
            "prompt": [as_text(prompt) for prompt in prompts],
            "completion": [as_text(completion) for completion in completions],
        }
        for name, scores in zip(reward_names, rewards.cpu().T, strict=True):
            columns[f"{REWARD_PREFIX}{name}"] = pa.array(scores.numpy(), from_pandas=True)  # NaN becomes null
        columns |= {
            "advantage": result.loss_advantages.cpu().numpy(),
            "kept": result.keep_mask.cpu().numpy(),
            "conflict": result.conflict_mask.cpu().numpy(),
            "snr": result.snr.cpu().numpy(),
            "keep_ratio": result.keep_ratio.cpu().numpy(),
            "signal": result.signal_mask.cpu().numpy(),
            "completion_tokens": token_counts.cpu().numpy(),
        }
        if reward_weights is not None:
            for name, weight in zip(reward_names, reward_weights, strict=True):
                columns[f"{WEIGHT_PREFIX}{name}"] = pa.array([float(weight)] * len(prompts), pa.float64())
        table = pa.table(columns).replace_schema_metadata(self._metadata)
        return write_with(self._free_path(step), lambda draft: pq.write_table(table, draft))

    def _start(self, step: int) -> None:
        """On the first write, make the folder and remove what a resumed run is about to write again."""
        if self._started:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        logged = {path: int(match[1]) for path in self._folder.iterdir() if (match := _STEP_FILE.fullmatch(path.name))}
        if logged and step == 1:
            raise RunFolderError(
                f"{self._folder} holds the rollouts of another run, and this one starts at step 1. Choose another "
                "folder, or resume that run from its checkpoint."
            )
        for path, logged_step in logged.items():
            if logged_step >= step:
                path.unlink()
            else:
                _set_aside_if_damaged(path)
        self._started = True

    def _free_path(self, step: int) -> Path:
        """A new file of the step. It has several batches if `steps_per_generation` is below gradient accumulation."""
        path = self._folder / f"step_{step:06d}.parquet"
        batch = 1
        while path.exists():
            batch += 1
            path = self._folder / f"step_{step:06d}_{batch}.parquet"
        return path


def _set_aside_if_damaged(path: Path) -> None:
    """Rename a file that was cut off, so that the rest of the log can be read, and say so."""
    try:
        pq.read_metadata(path)
    except PARQUET_DAMAGE as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        reason = str(error).splitlines()[0].rstrip(".")
        logger.warning(
            f"{path} is damaged ({reason}), and the run does not come back to its step: the log lacks these rollouts. "
            f"The file is kept as {aside.name}."
        )


def as_text(value: Any) -> str:
    """A prompt or completion as readable text: messages as `role: content`, one assistant message as its content."""
    if isinstance(value, str):
        return value
    if len(value) == 1 and value[0].get("role") == "assistant":
        return _content(value[0])
    return "\n".join(f"{message.get('role')}: {_content(message)}" for message in value)


def _content(message: Any) -> str:
    """The text of a message: its content, with parts that are not text (images, tool calls) as Python shows them."""
    content = message.get("content")
    parts = [content if isinstance(content, str) else repr(content)] if content else []
    if message.get("tool_calls"):
        parts.append(repr(message["tool_calls"]))
    return "\n".join(parts)
