"""Runs every method and seed, each in a process of its own with the same number of threads."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console

from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.run.progress import ProgressView
from gd2po.runs.files import FULL

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Of the libraries that torch and numpy compute with."""

POLL_SECONDS = 0.2
LONGEST_ERROR = 400

_ERROR_LINE = re.compile(r"^(error: |[\w.]*(Error|Exception|Interrupt|Exit)\b)")
_TAIL_BYTES = 64 * 1024
_NO_SPACE = "No space left on device"


class Runner:
    """Runs what is not done yet; a run that fails does not stop the others.

    Args:
        plan: what to run.
        folder: of the comparison, held by this process.
        program: command line that takes the arguments of `gd2po train` after it, and ends when its input does.
        jobs: runs at a time.
        console: where progress is shown.
    """

    def __init__(self, plan: Plan, folder: Path, program: Sequence[str], jobs: int, console: Console) -> None:
        self._plan, self._folder, self._program, self._jobs = plan, folder, list(program), jobs
        self._console = console
        self._active: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Run everything that is left.

        Raises:
            DiskFullError: a run failed and the disk is full; the others are ended.
            KeyboardInterrupt: after Ctrl-C, once the runs at work have stopped with a checkpoint.
        """
        waiting = [run for run in self._plan.runs if not files.is_done(files.run_folder(self._folder, *run))]
        with ProgressView(self._plan, self._folder, len(waiting), self._console) as view, self:
            while waiting or self._active:
                while waiting and len(self._active) < self._jobs:
                    self._start(waiting.pop(0))
                for run, process in list(self._active.items()):
                    if process.poll() is not None:
                        del self._active[run]
                        self._finish(run, process, view)
                view.update(list(self._active))
                time.sleep(POLL_SECONDS)

    def __enter__(self) -> None:
        """The runs at work end with this block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._console.print("Stopping: active runs save a checkpoint first. Ctrl-C again ends them at once.")
            try:
                for process in self._active.values():
                    process.send_signal(signal.SIGINT)
                for process in self._active.values():
                    process.wait()
            except KeyboardInterrupt:
                pass  # what is left is ended below
        for process in self._active.values():
            process.kill()
            process.wait()

    def _start(self, run: tuple[str, int]) -> None:
        method, seed = run
        target = files.run_folder(self._folder, method, seed)
        arguments = run_arguments(self._plan, self._folder, method, seed)
        checkpoint = files.last_checkpoint(target, self._plan.steps)
        if checkpoint is not None:
            arguments += ["--resume_from_checkpoint", str(checkpoint)]
        elif target.exists():
            shutil.rmtree(target)  # killed before its first checkpoint: nothing to go on from
        target.parent.mkdir(parents=True, exist_ok=True)
        files.error_file(self._folder, method, seed).unlink(missing_ok=True)
        threads = dict.fromkeys(THREAD_VARIABLES, str(self._plan.threads))
        with files.run_log(self._folder, method, seed).open("wb") as log:
            # A session of its own, so that Ctrl-C reaches this process alone, which passes it on once.
            self._active[run] = subprocess.Popen(
                [*self._program, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def _finish(self, run: tuple[str, int], process: subprocess.Popen[bytes], view: ProgressView) -> None:
        assert process.stdin is not None
        process.stdin.close()
        target = files.run_folder(self._folder, *run)
        if process.returncode == 0 and files.is_done(target):
            files.remove_checkpoints(target)
            view.finished(run, None)
            return
        log = files.run_log(self._folder, *run)
        if any(text in log_tail(log) for text in (FULL, _NO_SPACE)) or files.is_full(self._folder):
            raise files.full_disk(self._folder)
        error = error_of(log, process.returncode)
        files.error_file(self._folder, *run).write_text(f"{error}\n", encoding="utf-8")
        view.finished(run, error)


def run_arguments(plan: Plan, folder: Path, method: str, seed: int) -> list[str]:
    """Arguments of `gd2po train` for one run.

    Example:
        >>> plan = Plan("quickstart", [], {}, {"gdpo": {"advantage_estimator": "gdpo"}}, [7], "gdpo", 2, 1, 1)
        >>> run_arguments(plan, Path("out"), "gdpo", 7)[-4:]
        ['--seed', '7', '--advantage_estimator', 'gdpo']
    """
    arguments = ["--config", str(folder / files.SETTINGS)]
    arguments += ["--output_dir", str(files.run_folder(folder, method, seed)), "--seed", str(seed)]
    for key, value in plan.methods[method].items():
        arguments += override_arguments(key, value)
    return arguments


def override_arguments(key: str, value: str) -> list[str]:
    """An override as the command line takes it: JSON in one piece, lists item by item.

    Example:
        >>> override_arguments("reward_weights", "1 0.5"), override_arguments("reward_kwargs", '{"a": 1}')
        (['--reward_weights', '1', '0.5'], ['--reward_kwargs', '{"a": 1}'])
    """
    return [f"--{key}", *([value] if value.startswith(("{", "[")) else value.split())]


def log_tail(log: Path) -> str:
    """The end of what a run said."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        return file.read().decode("utf-8", "replace")


def error_of(log: Path, returncode: int) -> str:
    """Why a run failed, in a line: the error it ended with."""
    # Progress bars write over their own line.
    lines = [line.strip() for line in re.split(r"[\r\n]+", log_tail(log)) if line.strip()]
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = ", which the system sends when memory runs out" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    found = next((line for line in reversed(lines) if _ERROR_LINE.match(line)), None)
    text = (found or (lines[-1] if lines else f"ended with status {returncode}")).removeprefix("error: ")
    return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 1]}…"
