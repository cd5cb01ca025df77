"""Checkpoints of a run: which are complete, and which one a run resumes from.

A trainer writes a checkpoint file by file, its state last. One that a kill, a full disk or a copy cut short is told by
its files: each says how long it is or ends in a table of its contents.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from gd2po.errors import ConfigError

LATEST: Final = "latest"
"""What `resume_from_checkpoint` says for the newest complete checkpoint of the run folder."""

STATE: Final = "trainer_state.json"

_NAME = re.compile(r"checkpoint-(\d+)")
_WEIGHTS = ("*.safetensors", "pytorch_model*", "adapter_model*", "global_step*")
_OPTIMIZER = ("optimizer*", "global_step*")
"""Files, and the folders that FSDP and DeepSpeed write instead."""

_SHOWN_ERROR = 80


@dataclass(frozen=True)
class Resume:
    """Where a run resumes."""

    checkpoint: Path
    notes: tuple[str, ...] = ()
    """What was passed over, in sentences."""


def find_resume(resume_from: str | bool | None, run_folder: Path) -> Resume | None:
    """The checkpoint that a run resumes from; None where it starts anew.

    Args:
        resume_from: a checkpoint folder; `latest`, or True as transformers has it, for the newest complete one of the
            run folder; None or False for none.
        run_folder: of the run.

    Raises:
        ConfigError: it does not exist, is not complete, or `latest` finds none that is.
    """
    if resume_from is None or resume_from is False:
        return None
    if resume_from is True or resume_from == LATEST:
        return _latest(run_folder)
    checkpoint = Path(resume_from)
    if not checkpoint.is_dir():
        raise ConfigError(
            f"`resume_from_checkpoint` must be a checkpoint folder or {LATEST!r}: there is no {resume_from!r}. "
            f"Checkpoints are {run_folder}/checkpoint-<step>."
        )
    reason = damage(checkpoint)
    if reason is not None:
        better = newest_complete(checkpoint.parent)[0]
        hint = f"The newest that can be is {better}" if better else "No other checkpoint beside it can be"
        raise ConfigError(f"`resume_from_checkpoint`: {checkpoint} cannot be resumed from: {reason}. {hint}.")
    later = [path.name for path in checkpoints_of(checkpoint.parent) if step_of(path) > step_in(checkpoint)]
    kept = f"Later checkpoints stay until the run writes them again: {', '.join(later)}."
    return Resume(checkpoint, (kept,) if later else ())


def _latest(run_folder: Path) -> Resume:
    found, passed = newest_complete(run_folder)
    if found is None:
        why = f": {'; '.join(passed)}" if passed else ""
        raise ConfigError(
            f"`resume_from_checkpoint` {LATEST}: {run_folder} holds no complete checkpoint{why}. Start the "
            "run again in another `output_dir`."
        )
    return Resume(found, tuple(f"Passed over {one}." for one in passed))


def newest_complete(run_folder: Path, before_step: int | None = None) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint of a run, and why each newer one is none: `checkpoint-8: ... is missing`.

    Args:
        run_folder: of the run.
        before_step: only checkpoints of earlier steps count.
    """
    passed: list[str] = []
    for checkpoint in checkpoints_of(run_folder):
        if before_step is not None and step_of(checkpoint) >= before_step:
            continue
        reason = damage(checkpoint)
        if reason is None:
            return checkpoint, passed
        passed.append(f"{checkpoint.name}: {reason}")
    return None, passed


def checkpoints_of(run_folder: Path) -> list[Path]:
    """The checkpoints of a run, complete or not, newest first."""
    found = (path for path in run_folder.glob("checkpoint-*") if _NAME.fullmatch(path.name) and path.is_dir())
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint is named for; -1 for another name."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def damage(checkpoint: Path) -> str | None:
    """Why a run cannot resume from a checkpoint, in words; None if it can.

    Nothing of the files is executed: pickles are read as weights only.
    """
    if not (checkpoint / STATE).is_file():
        return f"{STATE} is missing, which is written last"
    for path in sorted(checkpoint.iterdir()):
        reason = damage_of_file(path)
        if reason is not None:
            return reason
    if not _holds(checkpoint, _WEIGHTS):
        return "its weights are missing"
    if not _holds(checkpoint, _OPTIMIZER):
        return "the state of the optimizer is missing"
    return None


def damage_of_file(path: Path) -> str | None:
    """What is wrong with a file of a checkpoint, in words; None if nothing is, or if nothing is known of its kind."""
    check = _CHECKS.get(path.suffix)
    if check is None or not path.is_file():
        return None
    try:
        check(path)
    except Exception as error:  # noqa: BLE001 (a damaged pickle can raise any)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{path.name} is damaged ({reason[:_SHOWN_ERROR].rstrip('. ')})"
    return None


def step_in(checkpoint: Path) -> int:
    """The step that a complete checkpoint says it is at, whatever its name."""
    return int(json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["global_step"])


def _holds(checkpoint: Path, patterns: tuple[str, ...]) -> bool:
    return any(any(checkpoint.glob(pattern)) for pattern in patterns)


def _check_json(path: Path) -> None:
    """Also the index of weights in several files, which names them, and the state, which names its step."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if path.name == STATE:
        _check_trainer_state(path, values)
    if path.name.endswith(".index.json"):
        for shard in sorted(set(values.get("weight_map", {}).values())):
            if not (path.parent / shard).is_file():
                raise ValueError(f"{shard} is missing")


def _check_trainer_state(path: Path, values: Any) -> None:
    """The state must be one that transformers can load."""
    from transformers import TrainerState

    if not isinstance(values, dict) or type(values.get("global_step")) is not int:
        raise ValueError("it names no step")
    TrainerState.load_from_json(str(path))


def _check_safetensors(path: Path) -> None:
    """The header says how long the file is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if size < 8 + header_bytes:
            raise ValueError(f"{size:,} bytes, and more belong to it")
        header = json.loads(file.read(header_bytes))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    expected = 8 + header_bytes + max(ends, default=0)
    if size != expected:
        raise ValueError(f"{size:,} of {expected:,} bytes")


def _check_archive(path: Path) -> None:
    """What torch.save writes is a ZIP archive, whose table of contents comes last."""
    with zipfile.ZipFile(path) as archive:
        archive.infolist()


def _check_state(path: Path) -> None:
    """States that resuming loads: they must be tensors and plain values."""
    _check_archive(path)
    with _rng_globals() if path.suffix == ".pth" else nullcontext():
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _rng_globals() -> AbstractContextManager[Any]:
    """The NumPy types in a random state, as transformers allows them when it resumes."""
    from transformers.trainer_pt_utils import safe_globals

    allowed: AbstractContextManager[Any] = safe_globals()
    return allowed


_CHECKS: Final[dict[str, Callable[[Path], None]]] = {
    ".json": _check_json,
    ".safetensors": _check_safetensors,
    ".bin": _check_archive,
    ".pt": _check_state,
    ".pth": _check_state,
}
