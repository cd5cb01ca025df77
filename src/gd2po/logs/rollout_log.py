"""The rollout log: the rewards of every rollout and what the advantages made of them, in Parquet files."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import GD2POError, RunFolderError
from gd2po.logs import run_settings as settings_of_run
from gd2po.logs.names import REWARD_PREFIX, WEIGHT_PREFIX
from gd2po.logs.roll_up import block_of, resume_at, roll_up
from gd2po.runs.files import write_with
from gd2po.runs.rollout_files import FOLDER, file_name, parsed

logger = logging.getLogger(__name__)


class RolloutLog:
    """Writes one file per generated batch into `<run folder>/rollouts`, and rolls the files of 200 steps up into one.

    Columns: `step`, `group` (unique within the step and file), `prompt`, `completion`, a column `reward/<name>` per
    reward as its function gave it (null where it does not apply), `advantage`, `kept`, `conflict`, `snr`,
    `keep_ratio`, `signal` (the method leaves the group one), `completion_tokens`; and, of runs whose weights move
    over the steps, a column `weight/<name>` per reward.

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
        self._last_step: int | None = None
        self._block = 0

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
        self._roll_up(step)
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
        """Where a run begins or resumes, make the folder and remove what it is about to write again."""
        if self._last_step is None or step < self._last_step:
            self._folder.mkdir(parents=True, exist_ok=True)
            if step == 1 and parsed(self._folder.iterdir()):
                raise RunFolderError(
                    f"{self._folder} holds the rollouts of another run, and this one starts at step 1. Choose another "
                    "folder, or resume that run from its checkpoint."
                )
            resume_at(self._folder, step)
        self._last_step = step

    def _roll_up(self, step: int) -> None:
        """Roll up the blocks of steps before this one's, if that has just begun. No run is lost because it fails."""
        if block_of(step) == self._block:
            return
        self._block = block_of(step)
        try:
            roll_up(self._folder, step)
        except (GD2POError, OSError, pa.ArrowException) as error:
            logger.warning(f"The log in {self._folder} stays in a file per batch for now: {error}")

    def _free_path(self, step: int) -> Path:
        """A new file of the step. It has several batches if `steps_per_generation` is below gradient accumulation."""
        paths = (self._folder / file_name(step, batch=batch) for batch in itertools.count(1))
        return next(path for path in paths if not path.exists())


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
