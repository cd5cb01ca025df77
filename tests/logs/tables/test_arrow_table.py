"""Arrow files, and datasets of the Hugging Face hub, which are some."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs.tables import arrow_table
from gd2po.logs.tables.arrow_table import ArrowTable
from gd2po.logs.tables.table import BadRows

ROWS = {
    "step": [1, 1, 2, 2],
    "prompt": [[{"role": "user", "content": text}] for text in ("a", "a", "b", "b")],
    "completion": ["x", "y", "z", "w"],
    "correct": [1.0, None, 0.0, 1.0],
    "brief": [0.5, 0.25, 1.0, 0.0],
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a dataset as `datasets` saves it, in two files."""
    datasets.Dataset.from_dict(ROWS).save_to_disk(tmp_path / "saved", num_shards=2)
    return tmp_path / "saved"


def test_a_dataset_on_disk_is_a_log(saved: Path) -> None:
    log = RewardLog(saved)
    assert log.layout.reward_names == ["correct", "brief"]
    assert str(group_rewards(log)) == "[[[1.0, 0.5], [nan, 0.25]], [[0.0, 1.0], [1.0, 0.0]]]"
    rows = read(log)
    assert log.texts(rows.places.tolist())[int(rows.places[3])] == ("b", "w")
    assert log.place(int(rows.places[3])).endswith("data-00001-of-00002.arrow row 2")


def test_both_formats_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": [1, 2, 3]})
    monkeypatch.setattr(arrow_table, "BATCH_ROWS", 2)
    for name, new in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        path = tmp_path / name
        with new(str(path), table.schema) as writer:
            writer.write_table(table)
        read_again = [(first, batch.to_pydict()) for first, batch in ArrowTable(path).batches(["a"], BadRows())]
        assert read_again == [(0, {"a": [1, 2]}), (2, {"a": [3]})]


@pytest.mark.parametrize("cut", [12, 600])
def test_a_file_that_is_cut_off_is_named(saved: Path, cut: int) -> None:
    path = saved / "data-00000-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataFormatError, match="data-00000-of-00002.arrow is not a complete Arrow file"):
        read(RewardLog(saved))


def test_a_damaged_file_is_one_message_and_never_a_crash(saved: Path) -> None:
    path = saved / "data-00000-of-00002.arrow"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + b"\xf7" + whole[place + 1 :])
        with contextlib.suppress(DataFormatError):
            read(RewardLog(saved))


def test_of_several_splits_one_must_be_named(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "both")
    with pytest.raises(DataFormatError, match="a dataset with the splits test, train. Name one"):
        RewardLog(tmp_path / "both")
    assert len(read(RewardLog(tmp_path / "both" / "test"))) == 4


@pytest.mark.parametrize(("source", "split"), [("me/my-log", "train"), ("me/my-log/test", "test")])
def test_a_dataset_of_the_hub_is_loaded_by_its_id(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, split: str
) -> None:
    def load(name: str, **options: Any) -> Any:
        assert (name, options) == ("me/my-log", {"split": split})
        return datasets.load_from_disk(saved)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(read(RewardLog(source))) == 4


def test_a_dataset_that_cannot_be_loaded_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise ConnectionError("no route to the hub")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataFormatError, match="cannot load 'me/my-log', which is not a path here.*no route to the hub"):
        RewardLog("me/my-log")
    (tmp_path / "runs").mkdir()
    with pytest.raises(DataFormatError, match="there is no runs/typo"):
        RewardLog("runs/typo")  # a path, since its folder exists


def test_an_empty_dataset_of_the_hub_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_dict({"x": []}))
    with pytest.raises(DataFormatError, match="me/my-log .split 'train'. is empty"):
        RewardLog("me/my-log")
