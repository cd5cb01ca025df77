"""Runs in processes of their own: all of them, after a crash, after a kill, on a full disk."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from run_checkpoints import write_checkpoint

from gd2po.comparison.results import read_run
from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan, write_plan
from gd2po.comparison.run.runner import Runner, error_of
from gd2po.errors import DiskFullError, RunFolderError

PLAIN, CRASHING, FULL = {"snr_eps": "1"}, {"action": "crash"}, {"action": "full"}


def run(plan: Plan, folder: Path, program: tuple[str, ...], jobs: int = 1) -> str:
    """Run a plan; what was said."""
    console = Console(file=io.StringIO(), width=500)
    with files.opened(folder):
        write_plan(folder, plan)
        Runner(plan, folder, program, jobs, console).run()
    return console.file.getvalue()  # type: ignore[attr-defined]


def all_done(plan: Plan, folder: Path) -> bool:
    return all(files.is_done(files.run_folder(folder, method, seed)) for method, seed in plan.runs)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_method_runs_with_every_seed(
    jobs: int, make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    plan = make_plan({"a": PLAIN, "b": PLAIN})
    said = run(plan, tmp_path / "out", program, jobs)
    assert all_done(plan, tmp_path / "out")
    assert "4 runs: 2 methods, 2 seeds." in said
    assert "b seed 1: done" in said
    log = files.run_log(tmp_path / "out", "a", 0).read_text()
    assert log.startswith("threads 1 ")
    assert not list((tmp_path / "out").rglob("checkpoint-*"))


def test_a_finished_run_is_kept(make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path) -> None:
    plan = make_plan({"a": PLAIN, "b": PLAIN})
    run(plan, tmp_path / "out", program)
    summary = files.run_folder(tmp_path / "out", "a", 0) / "summary.json"
    before = summary.stat().st_mtime_ns
    said = run(make_plan({"a": PLAIN, "b": PLAIN}, seeds=[0, 1, 2]), tmp_path / "out", program)
    assert "6 runs: 2 methods, 3 seeds, 4 of them done already." in said
    assert summary.stat().st_mtime_ns == before
    assert files.is_done(files.run_folder(tmp_path / "out", "b", 2))


def test_the_others_go_on_after_a_crash_and_the_next_try_forgets_it(
    make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    plan = make_plan({"a": PLAIN, "broken": CRASHING, "b": PLAIN})
    said = run(plan, tmp_path / "out", program)
    assert "broken seed 0: FAILED: ValueError: the weights are wrong" in said
    failed = read_run(tmp_path / "out", "broken", 1)
    assert (failed.status, failed.error) == ("failed", "ValueError: the weights are wrong")
    assert files.is_done(files.run_folder(tmp_path / "out", "b", 1))
    mended = make_plan({"a": PLAIN, "broken": PLAIN, "b": PLAIN})
    run(mended, tmp_path / "out", program)
    assert all_done(mended, tmp_path / "out")


def test_a_full_disk_stops_the_comparison_and_says_so(
    make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    plan = make_plan({"a": FULL, "b": PLAIN})
    with pytest.raises(DiskFullError, match="no space is left for .* free some space, and the same command resumes"):
        run(plan, tmp_path / "out", program)
    assert not files.is_done(files.run_folder(tmp_path / "out", "b", 0))


def test_a_full_disk_of_our_own_says_the_same(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here, to write to a disk that is full")
    with pytest.raises(DiskFullError), files.naming_a_full_disk(tmp_path), Path("/dev/full").open("w") as full:
        full.write("x")


def test_a_run_goes_on_from_its_last_complete_checkpoint(
    make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    plan = make_plan({"a": PLAIN, "b": PLAIN}, seeds=[0])
    target = files.run_folder(tmp_path / "out", "a", 0)
    plan = dataclasses.replace(plan, steps=4)
    for step in (1, 2, 3):
        write_checkpoint(target, step)
    (target / "checkpoint-3" / "trainer_state.json").write_text('{"cut')
    (tmp_path / "out" / "plan.json").write_text("{}")
    run(plan, tmp_path / "out", program)
    assert "resumed from 2" in files.run_log(tmp_path / "out", "a", 0).read_text()


def test_a_run_killed_after_its_last_step_takes_no_step_more(
    make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    plan = make_plan({"a": PLAIN, "b": PLAIN}, seeds=[0])
    run(plan, tmp_path / "out", program)
    target = files.run_folder(tmp_path / "out", "a", 0)
    for step in (2, 3):
        write_checkpoint(target, step)
    (target / "summary.json").unlink()
    run(plan, tmp_path / "out", program)
    assert "resumed from 2" in files.run_log(tmp_path / "out", "a", 0).read_text()


def test_what_was_killed_before_a_checkpoint_begins_again(
    make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    leftover = files.run_folder(tmp_path / "out", "a", 0) / "rollouts" / "step_000009.parquet"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    (tmp_path / "out" / "plan.json").write_text("{}")
    run(make_plan({"a": PLAIN, "b": PLAIN}, seeds=[0]), tmp_path / "out", program)
    assert not leftover.exists()


def test_two_comparisons_at_work_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        files.opened(tmp_path / "out"),
        pytest.raises(RunFolderError, match="Another comparison is at work in .*choose another `output_dir`"),
        files.opened(tmp_path / "out"),
    ):
        pass
    with files.opened(tmp_path / "out"):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match="is not empty and holds no comparison"), files.opened(tmp_path):
        pass
    with pytest.raises(RunFolderError, match="is a file"), files.opened(tmp_path / "thesis.tex"):
        pass


DRIVER = """
import signal
import sys
from pathlib import Path
from rich.console import Console
from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.run.runner import Runner
signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored where tests run in the background of a shell
plan = Plan("x", [], {}, {"a": {"action": "wait"}, "b": {"snr_eps": "1"}}, [0], "a", 3, 3, 1)
folder = Path(sys.argv[1])
with files.opened(folder):
    (folder / "plan.json").write_text("{}")
    try:
        Runner(plan, folder, sys.argv[2:], 1, Console()).run()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_comparison_that_is_stopped_leaves_no_process_and_goes_on(
    how: signal.Signals, make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path
) -> None:
    # As gd2po.training.worker does: the program ends with its input.
    wrapped = tmp_path / "wrapped.py"
    wrapped.write_text(
        "import os, threading\n"
        "threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()\n"
        f"(__import__('pathlib').Path({str(tmp_path / 'pid')!r})).write_text(str(os.getpid()))\n"
        + Path(program[1]).read_text()
    )
    out, own = tmp_path / "out", (sys.executable, str(wrapped))
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, out, *own], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while files.steps_done(files.run_folder(out, "a", 0)) < 2:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)  # until the checkpoint of that step is there too
        driver.send_signal(how)
        assert driver.wait(timeout=30) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    finally:
        driver.kill()
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
    # Ctrl-C leaves a run the time to stop by itself.
    assert (files.run_folder(out, "a", 0) / "interrupted").exists() == (how == signal.SIGINT)

    plan = make_plan({"a": {"action": "wait"}, "b": PLAIN}, seeds=[0])
    run(plan, out, own)
    assert "resumed from 2" in files.run_log(out, "a", 0).read_text()
    assert all_done(plan, out)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended and that nobody has waited for still has its id.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        ("  3%|#  | 1/40\rTraceback:\n  x\nValueError: bad\n", 1, "ValueError: bad"),
        ("error: `seed` is wrong\n", 2, "`seed` is wrong"),
        ("torch.OutOfMemoryError: no memory\nsome warning\n", 1, "torch.OutOfMemoryError: no memory"),
        ("something\n", 3, "something"),
        ("", 3, "ended with status 3"),
        ("fine so far\n", -9, "ended by SIGKILL, which the system sends when memory runs out"),
    ],
)
def test_the_error_of_a_run_is_the_line_that_it_ended_with(said: str, status: int, error: str, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text(said)
    assert error_of(log, status) == error
