"""The run folder: what `gd2po train` leaves behind, and what keeps two runs apart.

config.yaml        every field of the run; `gd2po train --config` takes it back
summary.json       held-out scores before and after, conflicts, times
evaluations.jsonl  held-out scores by step, a line each
rollouts/          every rollout's rewards and advantage, as in `gd2po.runs.rollout_files`
checkpoint-N/      to resume from
model.safetensors  the trained policy, with its configuration and tokenizer
report.html, report.json  the diagnosis of the rollouts
.lock              held by the process at work in the folder
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gd2po.errors import ConfigError, DataFormatError, RunFolderError
from gd2po.report.documents import plain
from gd2po.runs.checkpoints import LATEST, Resume, find_resume, step_in
from gd2po.runs.evaluations import EVALUATIONS
from gd2po.runs.files import naming_the_path, write_text
from gd2po.runs.lock import LOCK, hold_folder, is_empty

CONFIG, SUMMARY = "config.yaml", "summary.json"
REPORT_HTML, REPORT_JSON = "report.html", "report.json"
_BEFORE_STEP_1 = (CONFIG, EVALUATIONS)
_FIELDS = 100
"""A run writes several hundred, and nobody does by hand."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run that is about to train."""

    path: Path
    resume: Resume | None
    """Where the run resumes; None where it starts anew."""
    overwrite: bool = False
    """Whether what the folder holds gives way to this run."""

    def clear(self) -> None:
        """Remove the run that gives way, or what a run that never took a step left; nothing of one that resumes."""
        if self.resume is None:
            for path in self.path.iterdir():
                if path.name != LOCK and (self.overwrite or path.name in _BEFORE_STEP_1):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    @property
    def checkpoint(self) -> str | None:
        """The folder of the checkpoint, as transformers takes it."""
        return None if self.resume is None else str(self.resume.checkpoint)


@contextmanager
def open_run_folder(output_dir: str, resume_from: str | bool | None, overwrite: bool = False) -> Iterator[RunFolder]:
    """Hold the folder of a run, made if need be, against any other process.

    Args:
        output_dir: the folder.
        resume_from: as of `find_resume`.
        overwrite: the folder may hold a run, which gives way when `RunFolder.clear` is called.

    Raises:
        RunFolderError: it holds files already and the run does not resume from there, or another run is at work in it.
        ConfigError: the checkpoint to resume from does not exist or is not complete.
        OutputWriteError: it cannot be made.
    """
    folder = Path(output_dir)
    if overwrite and resume_from:
        raise ConfigError("`overwrite_output_dir` starts anew, and `resume_from_checkpoint` does not. Leave one out.")
    with naming_the_path(folder):
        resume = find_resume(resume_from, folder)
        _require_own(folder, resume, overwrite)
    with hold_folder(folder, "run"):
        _require_own(folder, resume, overwrite)  # again: another may have begun and ended in between
        yield RunFolder(folder, resume, overwrite)


def _require_own(folder: Path, resume: Resume | None, overwrite: bool) -> None:
    """Raise if the folder holds files, the run does not resume from there, and they may not give way."""
    resumes_here = resume is not None and _lies_in(folder, resume)
    if is_empty(folder) or resumes_here or has_no_step(folder):
        return
    if not overwrite:
        raise RunFolderError(
            f"{folder} is not empty, and may hold another run. Choose another `output_dir`, set `overwrite_output_dir` "
            f"to start anew, or resume that run with its own `config` {folder / CONFIG} and `resume_from_checkpoint` "
            f"{LATEST}."
        )
    if not (folder / CONFIG).is_file() or folder.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise RunFolderError(
            f"`overwrite_output_dir` removes runs only, and {folder} is none: it has no {CONFIG}, or you are in it. "
            "Choose another `output_dir`."
        )


def has_no_step(folder: Path) -> bool:
    """Whether a folder holds only what a run writes before its first step."""
    if not all(path.name == LOCK or path.name in _BEFORE_STEP_1 for path in folder.iterdir()):
        return False
    return not (folder / CONFIG).exists() or _is_of_a_run(folder / CONFIG)


def _is_of_a_run(config: Path) -> bool:
    """Whether a run wrote this file, with every field and without comments; one of the user's stays."""
    text = config.read_text(encoding="utf-8")
    return text.count("\n") > _FIELDS and not any(line.startswith("#") for line in text.splitlines())


def _lies_in(folder: Path, resume: Resume) -> bool:
    return folder.resolve() in resume.checkpoint.resolve().parents


def lacks_only_its_end(folder: RunFolder, max_steps: int) -> bool:
    """Whether a run has taken all of its steps, and was stopped before it left its policy and summary.

    Args:
        folder: of the run that is about to train.
        max_steps: of the run; below 1 where epochs say how long it is.

    Raises:
        ConfigError: the run came to its end; transformers would train a step too many.
    """
    if folder.resume is None or max_steps < 1:
        return False
    step = step_in(folder.resume.checkpoint)
    if step < max_steps:
        return False
    if step == max_steps and _lies_in(folder.path, folder.resume) and not (folder.path / SUMMARY).is_file():
        return True
    raise ConfigError(
        f"{folder.resume.checkpoint} is at step {step}, the end of this run (max_steps {max_steps}): nothing is left "
        "to train. It holds the trained policy. To train on, raise `max_steps`."
    )


def write_config(folder: Path, resolved: dict[str, Any], name: str = CONFIG) -> None:
    """Write every field of the run, readable by `--config`."""
    text = yaml.safe_dump(plain(resolved), sort_keys=True, allow_unicode=True)
    write_text(folder / name, text)


def read_config(folder: Path) -> dict[str, Any] | None:
    """Every field of the run whose folder this is; None where there is no such file.

    Raises:
        DataFormatError: the file cannot be read, or holds something else.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataFormatError(f"{path} does not hold the fields of a run: it is {type(found).__name__}.")
    return found


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write the summary; a mean over nothing becomes null, since JSON knows no NaN."""
    text = json.dumps(plain(summary), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / SUMMARY, text + "\n")
