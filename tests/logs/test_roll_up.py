"""Rolling up the rollout log: nothing is lost or repeated, whatever happens meanwhile, and it is read as before."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from log_fixtures import group_rewards, read

from gd2po import gdpo_advantages
from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError, RunFolderError
from gd2po.logs.roll_up import roll_up
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.files import FULL

BLOCK = 4
SETTINGS = {"method": "gdpo", "reward_weights": [1.0, 0.5]}


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.logs.roll_up.STEPS_PER_FILE", BLOCK)


def write(log: RolloutLog, steps: Sequence[int], *, value: float = 0.0, batches: int = 1, weight: bool = False) -> None:
    """Steps of four rollouts in two groups, each of whose scores and texts tells which it is."""
    group_ids = torch.tensor([0, 0, 1, 1])
    for step in steps:
        for batch in range(batches):
            rewards = torch.tensor([[step, batch], [step, value], [step + 0.5, 0.0], [step + 0.5, 1.0]])
            log.write(
                step,
                reward_names=["a", "b"],
                group_ids=group_ids,
                prompts=[f"{step} {batch} {group}" for group in (0, 0, 1, 1)],
                completions=[f"{step} {batch} {row} {value}" for row in range(4)],
                rewards=rewards,
                result=gdpo_advantages(rewards, group_ids),
                token_counts=torch.tensor([1, 2, 3, 4]),
                reward_weights=[step, 1.0] if weight else None,
            )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "rollouts").iterdir())


def steps_of(folder: Path) -> list[int]:
    """The steps that the log holds, each of its rollouts once."""
    rows = read(RewardLog(folder))
    steps, counts = np.unique(rows.steps, return_counts=True)
    assert set(counts.tolist()) == {4}
    np.testing.assert_array_equal(rows.rewards[:, 0].astype(int), rows.steps)
    return [int(step) for step in steps]


def texts_of(folder: Path) -> list[tuple[str | None, str | None]]:
    log = RewardLog(folder)
    return list(log.texts(read(log).places.tolist()).values())


def test_a_block_becomes_one_file_when_the_next_begins(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    write(log, range(1, 5))
    assert names(tmp_path) == [f"step_00000{step}.parquet" for step in (1, 2, 3, 4)]
    write(log, [5])
    assert names(tmp_path) == ["step_000001-000004.parquet", "step_000005.parquet"]
    write(log, range(6, 11))
    assert names(tmp_path)[:2] == ["step_000001-000004.parquet", "step_000005-000008.parquet"]
    assert names(tmp_path)[2:] == ["step_000009.parquet", "step_000010.parquet"]
    rolled_up = pq.read_metadata(tmp_path / "rollouts" / "step_000005-000008.parquet")
    assert [rolled_up.row_group(index).num_rows for index in range(rolled_up.num_row_groups)] == [4] * 4
    assert steps_of(tmp_path) == list(range(1, 11))


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_rolled_up_log_holds_what_its_files_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    write(RolloutLog(tmp_path / "rolled", SETTINGS), range(1, 10), batches=batches, weight=True)
    monkeypatch.setattr("gd2po.logs.roll_up.STEPS_PER_FILE", 100)
    write(RolloutLog(tmp_path / "single", SETTINGS), range(1, 10), batches=batches, weight=True)
    assert (len(names(tmp_path / "rolled")), len(names(tmp_path / "single"))) == (2 + batches, 9 * batches)
    rolled, single = (RewardLog(tmp_path / name) for name in ("rolled", "single"))
    assert group_rewards(rolled) == group_rewards(single)
    assert [len(chunk.group_starts) for chunk in rolled.chunks()] == [2 * 9 * batches]
    assert texts_of(tmp_path / "rolled") == texts_of(tmp_path / "single")
    assert rolled.run_settings == single.run_settings == SETTINGS
    assert rolled.step_weights == single.step_weights == {step: (step, 1.0) for step in range(1, 10)}
    assert rolled.notes() == single.notes()


def test_groups_of_the_batches_of_a_step_are_distinct_in_a_rolled_up_file(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path), range(1, 6), batches=2)
    table = pq.read_table(tmp_path / "rollouts" / "step_000001-000004.parquet")
    assert table["group"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3] * 4
    assert table.schema.field("group").type == pa.int64()


def test_steps_with_other_settings_or_columns_stay_apart(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path, SETTINGS), [1, 2])
    write(RolloutLog(tmp_path, {"method": "grpo"}), [3, 4, 5, 6])
    write(RolloutLog(tmp_path, {"method": "grpo"}), [7, 8, 9], weight=True)
    assert names(tmp_path) == [
        "step_000001-000002.parquet",
        "step_000003-000004.parquet",
        "step_000005-000006.parquet",
        "step_000007-000008.parquet",
        "step_000009.parquet",
    ]
    log = RewardLog(tmp_path)
    assert log.run_settings == {"method": "grpo"}
    assert "The settings of the run changed at step 3; those of the newest step count." in log.notes()
    assert steps_of(tmp_path) == list(range(1, 10))


def test_batches_of_one_step_with_other_columns_are_left_as_they_are(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    write(log, [1, 2])
    write(log, [2], weight=True)
    before = names(tmp_path)
    write(log, [5])
    assert names(tmp_path) == [*before, "step_000005.parquet"]


def test_steps_that_were_not_logged_leave_no_trace(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    write(log, [2, 4, 11, 13])
    assert names(tmp_path) == ["step_000002-000004.parquet", "step_000011.parquet", "step_000013.parquet"]
    assert steps_of(tmp_path) == [2, 4, 11, 13]


def test_an_old_log_of_single_files_is_rolled_up_when_its_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("gd2po.logs.roll_up.STEPS_PER_FILE", 10**9)
        write(RolloutLog(tmp_path), range(1, 11))
    assert len(names(tmp_path)) == 10
    assert steps_of(tmp_path) == list(range(1, 11))
    write(RolloutLog(tmp_path), [11])
    assert names(tmp_path)[:3] == ["step_000001-000004.parquet", "step_000005-000008.parquet", "step_000009.parquet"]
    assert steps_of(tmp_path) == list(range(1, 12))


@pytest.mark.parametrize("resumed_at", range(2, 11))
def test_a_resumed_run_replaces_later_steps_and_ends_with_the_same_files(tmp_path: Path, resumed_at: int) -> None:
    write(RolloutLog(tmp_path / "whole", SETTINGS), range(1, 11))
    write(RolloutLog(tmp_path, SETTINGS), range(1, 11), value=9.0)
    if resumed_at > 2:
        write(RolloutLog(tmp_path, SETTINGS), range(2, resumed_at))
    again = RolloutLog(tmp_path, SETTINGS)
    for step in range(resumed_at, 11):
        write(again, [step])
        assert steps_of(tmp_path) == list(range(1, step + 1))
    assert names(tmp_path) == names(tmp_path / "whole")
    assert [text for text in texts_of(tmp_path) if text not in texts_of(tmp_path / "whole")] == [
        ("1 0 0", "1 0 0 9.0"),
        ("1 0 0", "1 0 1 9.0"),
        ("1 0 1", "1 0 2 9.0"),
        ("1 0 1", "1 0 3 9.0"),
    ]


def test_a_log_that_goes_back_in_one_process_is_a_resumed_run(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    write(log, range(1, 7))
    write(log, [3, 4], value=9.0)
    assert steps_of(tmp_path) == [1, 2, 3, 4]
    assert ("4 0 0", "4 0 0 9.0") in texts_of(tmp_path)
    for _ in range(2):
        with pytest.raises(RunFolderError, match="holds the rollouts of another run"):
            write(log, [1])
    assert steps_of(tmp_path) == [1, 2, 3, 4]


CHILDREN = """
import os, shutil, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
sys.path.insert(0, sys.argv[1])
import test_roll_up as tests
import gd2po.logs.roll_up as roll_up

roll_up.STEPS_PER_FILE = tests.BLOCK
source, folder, step = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])

def killed(point):
    left = point
    def tick(*anything):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    write_table = pq.ParquetWriter.write_table
    def and_tick(*arguments, **options):
        write_table(*arguments, **options)
        tick()
    pq.ParquetWriter.write_table = and_tick
    names = {"open", "os.rename", "os.remove", "os.scandir", "os.listdir"}
    sys.addaudithook(lambda event, arguments: tick() if event in names and str(folder) in str(arguments[0]) else None)
    log = tests.RolloutLog(folder / str(point), tests.SETTINGS)
    tests.write(log, [step], value=9.0)

for point in range(1, 1000):
    shutil.copytree(source, folder / str(point))
    child = os.fork()
    if child == 0:
        killed(point)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        print(point - 1)
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
"""


def kill_everywhere(tmp_path: Path, steps: int, step: int) -> list[Path]:
    """The log of some steps, as a process leaves it that writes one more and is killed at some point: all of them."""
    write(RolloutLog(tmp_path / "source", SETTINGS), range(1, steps + 1))
    (tmp_path / "killed").mkdir()
    # Forks of a process that has only imported: Arrow's threads would not survive in one that has written.
    program = [sys.executable, "-c", CHILDREN, str(Path(__file__).parent), tmp_path / "source", tmp_path / "killed"]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [*program, str(step)], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tmp_path / "killed" / str(point) for point in range(1, int(done.stdout) + 1)]


def test_a_kill_at_any_point_of_rolling_up_loses_and_repeats_nothing(tmp_path: Path) -> None:
    killed = kill_everywhere(tmp_path, 4, 5)
    states = {tuple(name.rsplit(".parquet.")[0] for name in names(folder)) for folder in killed}
    assert len(states) >= BLOCK + 4  # a draft, the rolled-up file beside all, some and none of the others
    for number, folder in enumerate(killed):
        assert steps_of(folder) in ([1, 2, 3, 4], [1, 2, 3, 4, 5])
        assert RewardLog(folder).run_settings == SETTINGS
        resumed_at = 2 + number % 4
        write(RolloutLog(folder, SETTINGS), range(resumed_at, 6))
        assert names(folder) == ["step_000001-000004.parquet", "step_000005.parquet"]
        assert steps_of(folder) == [1, 2, 3, 4, 5]


def test_a_kill_at_any_point_of_resuming_inside_a_block_loses_and_repeats_nothing(tmp_path: Path) -> None:
    killed = kill_everywhere(tmp_path, 6, 3)
    states = {tuple(name.rsplit(".parquet.")[0] for name in names(folder)) for folder in killed}
    assert len(states) >= 6  # a draft, the shortened file beside the whole one, then fewer of the later steps
    for number, folder in enumerate(killed):
        there = steps_of(folder)
        assert there[:2] == [1, 2]
        assert there == sorted(set(there))
        resumed_at = 2 + number % 2
        write(RolloutLog(folder, SETTINGS), range(resumed_at, 6))
        assert names(folder) == ["step_000001-000004.parquet", "step_000005.parquet"]
        assert steps_of(folder) == [1, 2, 3, 4, 5]
        assert not any("9.0" in str(text) for text in texts_of(folder))


def test_a_log_is_read_as_it_was_listed_although_it_is_rolled_up_meanwhile(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path, SETTINGS)
    write(log, range(1, 5), batches=2, weight=True)
    expected, texts = group_rewards(RewardLog(tmp_path)), texts_of(tmp_path)
    reader = RewardLog(tmp_path)
    write(log, [5])
    assert names(tmp_path) == ["step_000001-000004.parquet", "step_000005.parquet"]
    assert reader.run_settings == SETTINGS
    assert reader.step_weights == {step: (step, 1.0) for step in range(1, 5)}
    assert group_rewards(reader) == expected
    assert list(reader.texts(read(reader).places.tolist()).values()) == texts


def test_a_rolled_up_file_that_grows_is_read_as_it_was_listed(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path, SETTINGS), range(1, 7))
    write(RolloutLog(tmp_path, SETTINGS), [4])  # shortens the first file to steps 1 to 3
    assert names(tmp_path) == ["step_000001-000003.parquet", "step_000004.parquet"]
    reader = RewardLog(tmp_path)
    roll_up(tmp_path / "rollouts", 5)
    assert names(tmp_path) == ["step_000001-000004.parquet"]
    assert read(reader).steps.tolist() == [step for step in (1, 2, 3, 4) for _ in range(4)]


def test_a_table_that_is_open_is_read_to_its_end(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    write(log, range(1, 5))
    reader = RewardLog(tmp_path)
    shutil.rmtree(tmp_path / "rollouts")
    chunks = reader.chunks()
    with pytest.raises(DataFormatError, match="step_000002.parquet was removed while the log was read.* Read it again"):
        next(chunks)
    assert len(next(reader._rows_of_file(0))) == 4


def test_a_reader_beside_the_writer_sees_every_step_once(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path, SETTINGS)
    write(log, [1])
    writer = threading.Thread(target=write, args=(log, range(2, 150)))
    writer.start()
    readings = []
    while writer.is_alive():
        there = steps_of(tmp_path)
        assert there == list(range(1, len(there) + 1))
        readings.append(len(there))
        assert len(texts_of(tmp_path)) >= 4 * len(there)
    writer.join()
    assert len(set(readings)) > 3
    assert steps_of(tmp_path) == list(range(1, 150))


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pyarrow.parquet.ParquetWriter.write_table"])
def test_a_log_that_cannot_be_rolled_up_now_is_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    log = RolloutLog(tmp_path)
    write(log, range(1, 5))
    before = names(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(call, failing)
        with pytest.raises(OSError, match=FULL):
            roll_up(tmp_path / "rollouts", 5)
        assert names(tmp_path) == before
    with monkeypatch.context() as full:
        full.setattr("os.fsync", failing)
        write(log, [5])
    assert "stays in a file per batch for now: The disk is full" in caplog.text
    assert names(tmp_path) == [*before, "step_000005.parquet"]
    write(log, [9])
    assert names(tmp_path) == ["step_000001-000004.parquet", "step_000005.parquet", "step_000009.parquet"]


def failing(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("cut", [lambda data: data[:-10], lambda data: b""])
def test_a_damaged_rolled_up_file_hides_no_file_that_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: Callable[[bytes], bytes]
) -> None:
    log = RolloutLog(tmp_path)
    write(log, range(1, 5))
    shutil.copytree(tmp_path / "rollouts", tmp_path / "before")
    write(log, [5])
    shutil.copytree(tmp_path / "before", tmp_path / "rollouts", dirs_exist_ok=True)
    rolled_up = tmp_path / "rollouts" / "step_000001-000004.parquet"
    rolled_up.write_bytes(cut(rolled_up.read_bytes()))
    write(RolloutLog(tmp_path), [5])
    assert "step_000001-000004.parquet is damaged" in caplog.text
    assert names(tmp_path) == [
        "step_000001-000004.parquet",
        "step_000001-000004.parquet.damaged",
        "step_000005.parquet",
    ]
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]


def test_a_rolled_up_file_that_is_damaged_inside_ends_the_resumption_and_is_kept(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path), range(1, 6))
    rolled_up = tmp_path / "rollouts" / "step_000001-000004.parquet"
    data = bytearray(rolled_up.read_bytes())
    data[4:200] = bytes(196)
    rolled_up.write_bytes(data)
    with pytest.raises(DataFormatError, match=r"step_000001-000004.parquet is damaged \(.*\). Move it away"):
        write(RolloutLog(tmp_path), [3])
    assert rolled_up.read_bytes() == data


def test_settings_survive_byte_for_byte(tmp_path: Path) -> None:
    settings = {**SETTINGS, "families": {"größe": ["a", "b"]}, "x" * 1000: [None, True, 1e-300]}
    write(RolloutLog(tmp_path, settings), range(1, 6))
    metadata = pq.read_schema(tmp_path / "rollouts" / "step_000001-000004.parquet").metadata
    assert json.loads(metadata[b"gd2po.run"]) == settings
