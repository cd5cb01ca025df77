"""The rollouts that a real run of TRL left in W&B's offline folder and trackio's store (data/train_trl.py)."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs.tables import tracked

TRL = Path(__file__).parent / "data" / "trl"
RUN = next((TRL / "wandb").iterdir())


@pytest.fixture
def wandb(tmp_path: Path) -> Path:
    """W&B's folder of runs, with one run."""
    shutil.copytree(TRL / "wandb", tmp_path / "wandb")
    return tmp_path / "wandb"


@pytest.fixture
def trackio(tmp_path: Path) -> Path:
    """The folder of trackio's projects, with one."""
    folder = tmp_path / "trackio"
    folder.mkdir()
    (folder / "conflicts.db").write_bytes(gzip.decompress((TRL / "trackio" / "conflicts.db.gz").read_bytes()))
    return folder


def change(database: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def assert_same_as_parquet(log: RewardLog) -> None:
    """The log holds what TRL wrote to its own files."""
    own = RewardLog(TRL / "completions")
    mine, theirs = read(log), read(own)
    assert log.layout.format == own.layout.format == "trl"
    assert log.layout.reward_names == own.layout.reward_names == ["digits", "brief"]
    assert mine.steps.tolist() == theirs.steps.tolist() == sorted([1, 2, 3, 4] * 8)
    assert np.array_equal(mine.rewards, theirs.rewards, equal_nan=True)
    assert np.isnan(mine.rewards).sum() > 0
    assert [len(group) for group in group_rewards(log)] == [4] * 8
    texts = (log.texts(mine.places.tolist()), own.texts(theirs.places.tolist()))
    assert list(texts[0].values()) == list(texts[1].values())
    assert "“five”" in str(texts[0])


@pytest.mark.parametrize(
    "inside", ["..", ".", RUN.name, f"{RUN.name}/files", f"{RUN.name}/files/media/table",
               f"{RUN.name}/files/media/table/completions"]
)  # fmt: skip
def test_the_rollouts_of_a_wandb_run_are_those_that_trl_wrote(wandb: Path, inside: str) -> None:
    log = RewardLog(wandb / inside)
    assert_same_as_parquet(log)
    assert any(note.startswith("1 table repeats a step that was logged before") for note in log.notes())


def test_the_journal_of_a_wandb_run_leads_to_its_tables(wandb: Path) -> None:
    journal = wandb / RUN.name / "run-x19wuhtm.wandb"
    journal.write_bytes(b":W&B\xd0\x00")
    assert_same_as_parquet(RewardLog(journal))
    shutil.rmtree(wandb / RUN.name / "files")
    for path in (journal, journal.parent, wandb):
        with pytest.raises(DataFormatError, match="W&B, without a table of rollouts.*log_completions=True"):
            RewardLog(path)


def test_one_table_of_wandb_is_a_log(wandb: Path) -> None:
    path = next(wandb.rglob("completions_17_*"))
    log = RewardLog(path)
    rows = read(log)
    assert set(rows.steps.tolist()) == {2}
    assert log.place(int(rows.places[3])) == f"{path} row 4"


def test_of_several_runs_one_must_be_named(wandb: Path, trackio: Path) -> None:
    shutil.copytree(wandb / RUN.name, wandb / "run-20270101_000000-other")
    with pytest.raises(DataFormatError, match="wandb holds 2 runs of W&B with rollouts.*Name one: .*run-20270101"):
        RewardLog(wandb)
    change(
        trackio / "conflicts.db",
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) "
        "SELECT 'abc', timestamp, 'second/try', step, metrics FROM metrics",
    )
    with pytest.raises(DataFormatError, match="rollouts of several runs. There are: tiny, second/try.*db/second/try"):
        RewardLog(trackio)
    assert_same_as_parquet(RewardLog(trackio / "conflicts.db" / "second" / "try"))
    assert_same_as_parquet(RewardLog(trackio / "conflicts.db" / "abc"))
    change(trackio / "conflicts.db", "UPDATE metrics SET run_name = 'tiny'")
    with pytest.raises(DataFormatError, match="several runs.*abc"):
        RewardLog(trackio / "conflicts.db" / "tiny")
    assert_same_as_parquet(RewardLog(trackio / "conflicts.db" / "abc"))


@pytest.mark.parametrize("inside", [".", "conflicts.db", "conflicts.db/tiny"])
def test_the_rollouts_of_a_trackio_run_are_those_that_trl_wrote(trackio: Path, inside: str) -> None:
    log = RewardLog(trackio / inside)
    assert_same_as_parquet(log)
    assert any(note.startswith("1 table repeats a step") for note in log.notes())
    assert sorted(path.name for path in trackio.iterdir()) == ["conflicts.db"]


def test_a_store_is_read_while_a_run_writes_to_it(trackio: Path) -> None:
    with contextlib.closing(sqlite3.connect(trackio / "conflicts.db")) as run:
        run.execute("PRAGMA journal_mode=WAL")
        run.execute("DELETE FROM metrics WHERE id > 30")
        run.commit()  # to the file -wal, until a checkpoint
        assert set(read(RewardLog(trackio)).steps.tolist()) == {1, 2, 3}


def test_a_store_of_trackio_is_read_before_runs_had_ids(trackio: Path) -> None:
    change(
        trackio / "conflicts.db",
        "CREATE TABLE old AS SELECT id, timestamp, run_name, step, metrics FROM metrics",
        "DROP TABLE metrics",
        "ALTER TABLE old RENAME TO metrics",
    )
    assert_same_as_parquet(RewardLog(trackio))


def test_what_is_no_table_of_trackio_says_so(trackio: Path, tmp_path: Path) -> None:
    database = trackio / "conflicts.db"
    with pytest.raises(DataFormatError, match="no rollouts of a run 'tin'. Did you mean 'tiny'"):
        RewardLog(database / "tin")
    shutil.copy(database, trackio / "other.db")
    with pytest.raises(DataFormatError, match="2 projects of trackio: conflicts.db, other.db. Name one"):
        RewardLog(trackio)
    change(database, "UPDATE metrics SET metrics = replace(CAST(metrics AS TEXT), '\"completions\"', '\"mine\"')")
    assert_same_as_parquet(RewardLog(database))  # the only table of the run
    change(database, "UPDATE metrics SET metrics = '{\"trackio.table' WHERE id = 9")
    with pytest.raises(DataFormatError, match="conflicts.db entry 9 cannot be read"):
        RewardLog(database)
    change(database, "DELETE FROM metrics WHERE instr(metrics, 'trackio.table') > 0")
    with pytest.raises(DataFormatError, match="no table of rollouts.*log_completions=True"):
        RewardLog(database)
    change(database, "DROP TABLE metrics")
    with pytest.raises(DataFormatError, match="an SQLite database, but no project of trackio: export"):
        RewardLog(database)
    database.write_bytes(database.read_bytes()[:600])
    with pytest.raises(DataFormatError, match="cannot be read as an SQLite database"):
        RewardLog(database)


def test_of_several_tables_the_one_of_the_rollouts_is_taken(wandb: Path) -> None:
    folder = wandb / RUN.name / "files" / "media" / "table"
    (folder / "other_3_0123456789abcdef0123.table.json").write_text('{"columns": ["a"], "data": [[1]]}')
    assert_same_as_parquet(RewardLog(wandb))
    for path in folder.glob("completions_*"):
        path.rename(path.with_name(path.name.replace("completions", "mine")))
    with pytest.raises(DataFormatError, match="holds several tables: mine, other. Name the one .*table/mine"):
        RewardLog(wandb)
    assert_same_as_parquet(RewardLog(folder / "mine"))


@pytest.mark.parametrize("text", ['{"columns": ["a"], "data": [[1, 2]]}', '{"columns": ["a"], "data": 3}'])
def test_a_foreign_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "completions_3_0123456789abcdef0123.table.json"
    path.write_text(text)
    for source in (path, tmp_path):
        with pytest.raises(DataFormatError, match="is no table of W&B: it needs `columns`"):
            RewardLog(source)


def test_a_table_that_is_cut_off_or_too_large_is_refused(wandb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(wandb.rglob("completions_8_*"))
    monkeypatch.setattr(tracked, "LARGEST_TABLE_BYTES", 1000)
    with pytest.raises(DataFormatError, match="completions_8_.*takes 1,504 bytes"):
        RewardLog(wandb)
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataFormatError, match="completions_8_.*is not a complete table of W&B"):
        RewardLog(wandb)


def test_event_files_of_tensorboard_hold_no_rollouts(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "Nov26" / "events.out.tfevents.1795693126.host.16529.0"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7f\x4b\x22")
    for source in (tmp_path, path.parent, path):
        with pytest.raises(DataFormatError, match="event files of TensorBoard.*log_completions=True"):
            RewardLog(source)


def test_a_table_without_a_step_is_never_a_repetition(tmp_path: Path) -> None:
    rows = {"columns": ["group", "x"], "data": [["a", 1], ["a", 0]]}
    for number in (1, 2):
        (tmp_path / f"mine_{number}_0123456789abcdef0123.table.json").write_text(json.dumps(rows))
    assert len(read(RewardLog(tmp_path))) == 4
