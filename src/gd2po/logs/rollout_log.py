"""The rollout log: what every rollout was rewarded with and what became of it, one Parquet file per step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import RunFolderError
from gd2po.report.documents import plain
from gd2po.runs.files import write_with

FOLDER = "rollouts"
RUN_KEY = "gd2po.run"
"""Key in the metadata of every file: how the run is made, as JSON."""

_STEP_FILE = re.compile(r"step_(\d+)(?:_\d+)?\.parquet")


class RolloutLog:
    """Writes one file per generated batch into `<run folder>/rollouts`.

    Columns: `step`, `group` (unique within the file), `prompt`, `completion`, a column `reward/<name>` per reward (null
    where it does not apply), `advantage`, `kept`, `conflict`, `snr`, `keep_ratio`, `completion_tokens`.

    A resumed run writes its steps again, so whatever an interrupted run had logged from there on is removed before the
    first write: the log holds every step once.

    Args:
        run_folder: the output folder of the run.
        run: how the run is made, plain values that travel with every file; None if that is not known.
    """

    def __init__(self, run_folder: str | Path, run: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(run_folder) / FOLDER
        self._metadata = {} if run is None else {RUN_KEY: json.dumps(plain(run), ensure_ascii=False)}
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
    ) -> Path:
        """Write the rollouts of one batch, N of them, and return the file.

        Args:
            step: the optimizer step they are for, from 1.
            reward_names: K names.
            group_ids: (N,) integers.
            prompts: N texts or message lists.
            completions: N texts or message lists.
            rewards: (N, K); NaN where a reward does not apply.
            result: their advantages.
            token_counts: (N,) completion tokens.

        Raises:
            RunFolderError: the folder holds the log of another run, and this one starts from the beginning.
        """
        self._start(step)
        columns: dict[str, Any] = {
            "step": pa.array([step] * len(prompts), pa.int64()),
            "group": group_ids.cpu().numpy(),
            "prompt": [as_text(prompt) for prompt in prompts],
            "completion": [as_text(completion) for completion in completions],
        }
        for name, scores in zip(reward_names, rewards.cpu().T, strict=True):
            columns[f"reward/{name}"] = pa.array(scores.numpy(), from_pandas=True)  # NaN becomes null
        columns |= {
            "advantage": result.advantages.cpu().numpy(),
            "kept": result.keep_mask.cpu().numpy(),
            "conflict": result.conflict_mask.cpu().numpy(),
            "snr": result.snr.cpu().numpy(),
            "keep_ratio": result.keep_ratio.cpu().numpy(),
            "completion_tokens": token_counts.cpu().numpy(),
        }
        path = self._free_path(step)
        return write_with(path, lambda draft: pq.write_table(pa.table(columns, metadata=self._metadata), draft))

    def _start(self, step: int) -> None:
        """On the first write: make the folder, and remove what a resumed run is about to write again."""
        if self._started:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        logged = {path: int(match[1]) for path in self._folder.iterdir() if (match := _STEP_FILE.fullmatch(path.name))}
        if logged and step == 1:
            raise RunFolderError(
                f"{self._folder} holds the rollouts of another run. Choose another `output_dir`, or resume that run "
                "with `resume_from_checkpoint`."
            )
        for path, logged_step in logged.items():
            if logged_step >= step:
                path.unlink()
        self._started = True

    def _free_path(self, step: int) -> Path:
        """A step may generate more than one batch (`steps_per_generation` below the gradient accumulation)."""
        path = self._folder / f"step_{step:06d}.parquet"
        batch = 1
        while path.exists():
            batch += 1
            path = self._folder / f"step_{step:06d}_{batch}.parquet"
        return path


def as_text(value: Any) -> str:
    """A prompt or completion as readable text: messages as `role: content`, a single assistant message as it is."""
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
