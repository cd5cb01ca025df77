"""Callbacks of `gd2po train`: the progress bar, what Ctrl-C does, and checkpoints that are written twice."""

from __future__ import annotations

import signal
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

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Show the newest values."""
        if not state.is_world_process_zero or self.training_bar is None or logs is None:
            return
        shown = {
            key.split("/")[1]: f"{value:.2f}"
            for key, value in logs.items()
            if key.startswith("rewards/") and key.endswith("/mean") and value is not None
        }
        if logs.get(f"{PREFIX}/rate") is not None:
            shown["conflicts"] = f"{logs[f'{PREFIX}/rate']:.0%}"
        if shown:  # the last log of a run holds its totals only
            self.training_bar.set_postfix(shown)


class Stopwatch(TrainerCallback):  # type: ignore[misc]
    """Seconds that training took."""

    seconds = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self._began


class StopOnInterrupt(TrainerCallback):  # type: ignore[misc]
    """Ctrl-C ends training after the step at hand with a checkpoint to resume from; pressed again, at once.

    The signal is only noted where it arrives. Model, optimizer and random state are saved together at the end of the
    step, so a resumed run goes on as if nothing had happened.
    """

    interrupted = False

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Take over Ctrl-C."""
        self._previous = signal.signal(signal.SIGINT, self._note)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop if it was pressed."""
        if self.interrupted:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Give Ctrl-C back."""
        signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


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
