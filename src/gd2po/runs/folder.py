"""The run folder: what `gd2po train` leaves behind, and what keeps two runs apart.

config.yaml        every field of the run; `gd2po train --config` takes it back
summary.json       held-out scores before and after, conflicts, times
evaluations.jsonl  held-out scores by step, a line each
rollouts/          every rollout's rewards and advantage, one Parquet file per step
checkpoint-N/      to resume from
model.safetensors  the trained policy, with its configuration and tokenizer
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from gd2po.errors import ConfigError, RunFolderError
from gd2po.report.documents import plain
from gd2po.runs.files import write_text

CONFIG, SUMMARY, EVALUATIONS = "config.yaml", "summary.json", "evaluations.jsonl"


def open_run_folder(output_dir: str, resume_from: str | None) -> Path:
    """The run folder, made if need be.

    Raises:
        RunFolderError: it holds files already and the run does not resume from there.
        ConfigError: the checkpoint to resume from does not exist.
    """
    folder = Path(output_dir)
    if resume_from is not None and not Path(resume_from).is_dir():
        raise ConfigError(
            f"`resume_from_checkpoint` must be a checkpoint folder: there is no {resume_from!r}. Checkpoints are "
            f"{folder}/checkpoint-<step>."
        )
    resumes_here = resume_from is not None and folder.resolve() in Path(resume_from).resolve().parents
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"`output_dir` must be a folder: {folder} is a file.")
    if folder.is_dir() and any(folder.iterdir()) and not resumes_here:
        raise RunFolderError(
            f"{folder} is not empty, and may hold another run. Choose another `output_dir`, or resume that run with "
            f"its own `config` {folder / CONFIG} and `resume_from_checkpoint` {folder}/checkpoint-<step>."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_steps_left(resume_from: str | None, max_steps: int) -> None:
    """Raise if the checkpoint is the run's last: transformers would train a step too many.

    Args:
        resume_from: checkpoint folder, or None.
        max_steps: of the run; below 1 where epochs say how long it is.

    Raises:
        ConfigError: there is nothing left to train.
    """
    state = Path(resume_from or "") / "trainer_state.json"
    if resume_from is None or max_steps < 1 or not state.is_file():
        return
    step = json.loads(state.read_text(encoding="utf-8"))["global_step"]
    if step >= max_steps:
        raise ConfigError(
            f"{resume_from} is at step {step}, the end of this run (max_steps {max_steps}): nothing is left to train. "
            "It holds the trained policy. To train on, raise `max_steps`."
        )


def write_config(folder: Path, resolved: dict[str, Any], name: str = CONFIG) -> None:
    """Write every field of the run, readable by `--config`."""
    text = yaml.safe_dump(plain(resolved), sort_keys=True, allow_unicode=True)
    write_text(folder / name, text)


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write the summary; a mean over nothing becomes null, since JSON knows no NaN."""
    text = json.dumps(plain(summary), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / SUMMARY, text + "\n")


def write_evaluation(folder: Path, step: int, scores: dict[str, Any]) -> None:
    """Write the held-out scores of a step. A resumed run writes those of its first steps again."""
    path = folder / EVALUATIONS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    by_step = {json.loads(line)["step"]: line for line in lines}
    by_step[step] = json.dumps(plain({"step": step, **scores}), ensure_ascii=False, allow_nan=False)
    write_text(path, "".join(f"{by_step[known]}\n" for known in sorted(by_step)))
