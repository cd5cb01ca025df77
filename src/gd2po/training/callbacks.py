"""Callbacks of `gd2po train`: the progress bar, what Ctrl-C and SIGTERM do, and checkpoints that are written twice."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback

from gd2po.core.metrics import PREFIX
from gd2po.runs.checkpoints import STATE


class RewardProgress(ProgressCallback):  # type: ignore[misc]
    """TRL's progress bar with the reward means and the conflict rate beside it, instead of a dictionary per step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave room for the ^C that a terminal shows: in a full line it begins another, and the bar stands twice."""
        super().on_train_begin(args, state, control, **kwargs)
        size = getattr(self.training_bar, "dynamic_ncols", None)
        if size:
            self.training_bar.dynamic_ncols = lambda file: shortened(*size(file))
            self.training_bar.refresh()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Show the newest values."""
        if not state.is_world_process_zero or self.training_bar is None or logs is None:
            return
        shown = newest(logs)
        if shown:  # the last log of a run holds its totals only
            self.training_bar.set_postfix(shown)


class RewardLines(TrainerCallback):  # type: ignore[misc]
    """The same into a file or pipe, where a bar would be one endless line: a line for each log."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Print the newest values."""
        shown = newest(logs or {})
        if state.is_world_process_zero and shown:
            values = ", ".join(f"{name} {value}" for name, value in shown.items())
            sys.stderr.write(f"step {state.global_step}/{state.max_steps}: {values}\n")


def shortened(columns: int | None, rows: int | None) -> tuple[int | None, int | None]:
    """A terminal's size without two columns at its end; None stays unknown."""
    return (None if columns is None else max(columns - 2, 1)), rows


def newest(logs: dict[str, Any]) -> dict[str, str]:
    """The reward means and the conflict rate of a log, as text by name.

    Example:
        >>> newest({"rewards/brief/mean": 0.5, "conflict/rate": 0.25, "loss": 0.1})
        {'brief': '0.50', 'conflicts': '25%'}
    """
    shown = {
        key.split("/")[1]: f"{value:.2f}"
        for key, value in logs.items()
        if key.startswith("rewards/") and key.endswith("/mean") and value is not None
    }
    if logs.get(f"{PREFIX}/rate") is not None:
        shown["conflicts"] = f"{logs[f'{PREFIX}/rate']:.0%}"
    return shown


class Stopwatch(TrainerCallback):  # type: ignore[misc]
    """Seconds that training took."""

    seconds = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self._began


class StopOnSignal(TrainerCallback):  # type: ignore[misc]
    """Ctrl-C and SIGTERM end training after the step at hand with a checkpoint to resume from; a second one, at once.

    The signal is only noted where it arrives, also in a job in the background, whose shell has it ignore Ctrl-C. Model,
    optimizer and random state are saved together at the end of the step, so a resumed run goes on as if nothing had
    happened.
    """

    signal: int | None = None
    """The first one that came."""

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Take the signals over."""
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop if one came."""
        if self.signal is not None:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Give them back."""
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


class RewriteCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Takes the state out of a checkpoint that is about to be written over.

    A run that resumes from an earlier step writes later checkpoints a second time. Killed while it does, it would leave
    one whose files are partly old and which looks complete, because the state, which is written last, is there already.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Where checkpoints go by steps, and after Ctrl-C."""
        if control.should_save and state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE).unlink(missing_ok=True)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Where checkpoints go by epochs."""
        self.on_step_end(args, state, control)
