"""A report that follows a run while its log grows and is rolled up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from gd2po import gdpo_advantages
from gd2po.diagnosis import RewardLog, RunReport, report_log
from gd2po.diagnosis.watch import PATIENCE, LogWatch
from gd2po.errors import DataFormatError
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.evaluations import write_evaluation
from gd2po.runs.folder import CONFIG, SUMMARY

LIVE = ' data-reload="5"'


@pytest.fixture(autouse=True)
def _without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.diagnosis.watch.REST", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that has just begun."""
    path = tmp_path / "run"
    path.mkdir()
    (path / CONFIG).write_text("advantage_estimator: gdpo\n")
    return path


@pytest.fixture
def write_step(folder: Path) -> Callable[[int], None]:
    """Logs a step as a run does."""
    log, group_ids = RolloutLog(folder, {"method": "gdpo"}), torch.tensor([0, 0, 1, 1])

    def write(step: int) -> None:
        rewards = torch.tensor([[step, 0.0], [0.0, step], [1.0, 0.0], [0.0, 1.0]])
        log.write(
            step,
            reward_names=["a", "b"],
            group_ids=group_ids,
            prompts=["p"] * 4,
            completions=["c"] * 4,
            rewards=rewards,
            result=gdpo_advantages(rewards, group_ids),
            token_counts=torch.tensor([1, 1, 1, 1]),
        )

    return write


@pytest.fixture
def watch(folder: Path) -> LogWatch:
    return LogWatch(folder, lambda reload_s: report_log(RewardLog(folder), reload_s=reload_s), pause_s=0.02)


def steps(report: RunReport) -> tuple[int, int]:
    return report.diagnosis.source.steps, report.diagnosis.source.last_step


def test_it_waits_for_the_first_step_and_follows_the_others(
    folder: Path, write_step: Callable[[int], None], watch: LogWatch
) -> None:
    threading.Timer(0.2, write_step, [1]).start()
    reports = watch.reports()
    assert steps(next(reports)) == (1, 1)
    assert LIVE in (folder / "report.html").read_text()
    write_step(2)
    assert steps(next(reports)) == (2, 2)
    write_evaluation(folder, 2, {"num_prompts": 8, "rewards": {"a": 0.5}, "metrics": {}, "shares": []})
    assert next(reports).diagnosis.held_out.steps == [2]


def test_no_step_is_missed_or_repeated_while_the_log_is_rolled_up(
    folder: Path, write_step: Callable[[int], None], watch: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gd2po.logs.roll_up.STEPS_PER_FILE", 3)
    last = 40

    def run() -> None:
        for step in range(1, last + 1):
            write_step(step)
            time.sleep(0.06)
        (folder / SUMMARY).write_text("{}")

    thread = threading.Thread(target=run)
    thread.start()
    seen = [steps(report) for report in watch.reports()]
    thread.join()
    assert all(count == at for count, at in seen)
    assert [at for _, at in seen] == sorted(at for _, at in seen)
    assert seen[-1] == (last, last)
    assert len({at for _, at in seen}) > 2
    assert any("-" in path.name for path in (folder / "rollouts").iterdir())


def test_it_ends_with_the_run_and_leaves_a_page_that_stays(
    folder: Path, write_step: Callable[[int], None], watch: LogWatch
) -> None:
    write_step(1)
    with FileLock(folder / ".lock"):
        (folder / SUMMARY).write_text("{}")  # as of a run that is at its report, or of one that is resumed
        reports = watch.reports()
        assert steps(next(reports)) == (1, 1)
        assert LIVE in (folder / "report.html").read_text()
    assert [steps(report) for report in reports] == [(1, 1)]
    assert LIVE not in (folder / "report.html").read_text()


def test_closed_it_leaves_a_page_that_stays(folder: Path, write_step: Callable[[int], None], watch: LogWatch) -> None:
    write_step(1)
    next(watch.reports())
    watch.close()
    assert LIVE not in (folder / "report.html").read_text()


def test_nothing_is_written_where_nothing_has_changed(write_step: Callable[[int], None], watch: LogWatch) -> None:
    write_step(1)
    reports = watch.reports()
    next(reports)
    threading.Timer(0.3, write_step, [2]).start()
    assert steps(next(reports)) == (2, 2)  # and not the first one again


def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [f'{{"step": 1, "group": 0, "a": {row % 2}, "b": {(row + 1) % 2}}}\n' for row in range(4)]
    path.write_text("".join(rows)[:-9])
    page = tmp_path / "page.html"
    watch = LogWatch(path, lambda reload_s: report_log(RewardLog(path), html=page, reload_s=reload_s), pause_s=0.05)
    threading.Timer(0.1, path.write_text, ["".join(rows)]).start()
    assert next(watch.reports()).diagnosis.source.rollouts == 4


def test_a_file_that_stays_damaged_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 0, "a": 1, "b": 0}\n{"group": 0, "a"')
    tried = []

    def write(reload_s: int | None) -> RunReport:
        tried.append(reload_s)
        return report_log(RewardLog(path), html=tmp_path / "page.html", reload_s=reload_s)

    with pytest.raises(DataFormatError, match="line 2"):
        next(LogWatch(path, write, pause_s=0.01).reports())
    assert len(tried) == PATIENCE


def test_what_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="there is no"):
        LogWatch(tmp_path / "nothing", lambda reload_s: report_log(RewardLog(tmp_path), reload_s=reload_s))


def test_a_ctrl_c_whose_exception_is_lost_ends_the_watch_at_the_next_look(watch: LogWatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        watch.interrupt()
    with pytest.raises(KeyboardInterrupt):
        for _ in watch.reports():
            pass
