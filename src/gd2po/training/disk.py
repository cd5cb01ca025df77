"""Room on the disk: a warning before a run that will fill it, and one clear error when it is full."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from torch import Tensor
from transformers import TrainerCallback

from gd2po.errors import DiskFullError
from gd2po.runs.checkpoints import damage, damage_of_file, newest_complete
from gd2po.runs.files import FULL, NO_SPACE

_MB: Final = 10**6

_MOMENTS: Final = 2
"""Numbers that Adam keeps of each weight it trains."""

_OF_A_FULL_DISK: Final = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
"""What libraries say that keep the system's error number to themselves."""

_OF_TORCH: Final = ("PytorchStreamWriter", "inline_container")
"""torch.save says where it failed, and not why."""


class WarnOfLittleRoom(TrainerCallback):  # type: ignore[misc]
    """Says before the first step that the run's checkpoints will not fit."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Count the checkpoints that will lie there at once."""
        if args.save_strategy == "no":
            return
        left = state.max_steps - state.global_step
        every = state.save_steps if args.save_strategy == "steps" else state.max_steps / state.num_train_epochs
        count = math.ceil(left / max(every, 1))
        if args.save_total_limit:
            count = min(count, args.save_total_limit + 1)  # the oldest goes when the newest is there
        each, free = checkpoint_bytes(model), shutil.disk_usage(self._folder).free
        needed = count * each + _weights_bytes(model)
        if needed > free:
            self._console.print(
                f"The disk will be full: checkpoints of {_megabytes(each)} and the trained policy need about "
                f"{_megabytes(needed)}, and {self._folder} has {_megabytes(free)} left. Make room, or keep fewer "
                "checkpoints with `save_total_limit`.",
                markup=False,
                soft_wrap=True,
            )


@contextmanager
def naming_what_is_needed(folder: Path, trainer: Any) -> Iterator[None]:
    """Turn any error about a full disk into one that says how much room to make, and remove what is half written.

    Raises:
        DiskFullError: no space is left.
    """
    try:
        yield
    except Exception as error:
        needed = checkpoint_bytes(trainer.model)
        free = shutil.disk_usage(folder).free
        if not _says_full(error) and not (_is_of_torch(error) and free < needed):
            raise
        _remove_halves(folder, trainer.state.global_step)
        checkpoint = newest_complete(folder)[0]
        resume = (
            f"resume the run with `resume_from_checkpoint` latest: {checkpoint.name} is complete"
            if checkpoint
            else "start the run again: it has no checkpoint yet"
        )
        raise DiskFullError(
            f"{FULL}: {_megabytes(needed)} are needed for the next checkpoint, and {folder} has "
            f"{_megabytes(shutil.disk_usage(folder).free)} left. Make room, and {resume}."
        ) from error


def checkpoint_bytes(model: Any) -> int:
    """About how large a checkpoint is: the weights that are saved, and what Adam keeps of those that are trained."""
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    return _weights_bytes(model) + _MOMENTS * _bytes(trained)


def _weights_bytes(model: Any) -> int:
    """The weights that are saved: of an adapter it alone."""
    adapter = hasattr(model, "peft_config")
    weights = (weight for weight in model.parameters() if weight.requires_grad or not adapter)
    return _bytes(weights)


def _bytes(weights: Iterable[Tensor]) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _says_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, is about a full disk."""
    while error is not None:
        if isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in NO_SPACE):
            return True
        if any(text in str(error) for text in _OF_A_FULL_DISK):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_of_torch(error: BaseException) -> bool:
    return any(text in str(error) for text in _OF_TORCH)


def _remove_halves(folder: Path, step: int) -> None:
    """Remove a checkpoint of the step and weights in the folder itself that were not written to their end."""
    checkpoint = folder / f"checkpoint-{step}"
    if checkpoint.is_dir() and damage(checkpoint) is not None:
        shutil.rmtree(checkpoint)
    for weights in folder.glob("*.safetensors"):
        if damage_of_file(weights) is not None:
            weights.unlink()


def _megabytes(size: int) -> str:
    """Example: `_megabytes(1_500_000)` is "2 MB"."""
    return f"{math.ceil(size / _MB):,} MB"
