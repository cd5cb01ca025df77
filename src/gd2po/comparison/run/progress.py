"""How far a comparison is: a bar in a terminal, a line per run elsewhere, both with the time left."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.report.wording import counted

LEAST_SECONDS = 20.0
"""Before this much time nothing is said about the time left."""


class ProgressView:
    """Counts the steps of all runs as their rollouts appear.

    Args:
        plan: what is run.
        folder: of the comparison.
        left: runs that are not done.
        console: where to show it.
    """

    def __init__(self, plan: Plan, folder: Path, left: int, console: Console) -> None:
        self._plan, self._folder, self._left, self._console = plan, folder, left, console
        self._expected = len(plan.runs) * plan.steps
        self._settled = (len(plan.runs) - left) * plan.steps
        """Steps of runs that are done."""
        self._began, self._done_before = time.monotonic(), 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps · {task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> ProgressView:
        done = len(self._plan.runs) - self._left
        kept = f", {done} of them done already" if done else ""
        methods, seeds = counted(len(self._plan.methods), "method"), counted(len(self._plan.seeds), "seed")
        self._say(f"{counted(len(self._plan.runs), 'run')}: {methods}, {seeds}{kept}.")
        # A killed run may go on from a checkpoint a little before where it was: close enough for an estimate.
        runs = [files.run_folder(self._folder, *run) for run in self._plan.runs]
        self._done_before = self._settled + sum(files.steps_done(run) for run in runs if not files.is_done(run))
        self._task = self._bar.add_task("", total=self._expected, completed=self._done_before, left="")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, active: list[tuple[str, int]]) -> None:
        """Take the files of the active runs in."""
        steps = {run: files.steps_done(files.run_folder(self._folder, *run)) for run in active}
        done = self._settled + sum(steps.values())
        names = ", ".join(f"{method} seed {seed}" for method, seed in active)
        self._bar.update(
            self._task, description=names, completed=done, total=self._expected, left=self._time_left(done)
        )

    def finished(self, run: tuple[str, int], error: str | None) -> None:
        """A run has ended, with an error or without."""
        self._left -= 1
        if error is None:
            self._settled += self._plan.steps
        else:
            self._expected -= self._plan.steps
        method, seed = run
        result = "done" if error is None else f"FAILED: {error}"
        left = (
            f"{counted(self._left, 'run')} left, {self._time_left(self._settled)}".rstrip(", ")
            if self._left
            else "the last"
        )
        self._say(f"{method} seed {seed}: {result} ({left})")

    def _time_left(self, done: int) -> str:
        """In words; empty as long as nothing can be said."""
        elapsed, new = time.monotonic() - self._began, done - self._done_before
        if elapsed < LEAST_SECONDS or new <= 0:
            return ""
        return f"about {duration(elapsed / new * max(self._expected - done, 0))} left"

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A time in words, no more exact than an estimate is.

    Example:
        >>> duration(42), duration(500), duration(5000)
        ('1 min', '8 min', '1 h 23 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
