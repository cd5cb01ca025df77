"""Reports on a log: what is written where."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, report_log, write_run_report
from gd2po.errors import OutputWriteError


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run folder of gd2po with one step of two groups."""
    columns = {"step": [1] * 8, "group": [0] * 4 + [1] * 4, "reward/a": [0.0, 1.0] * 4, "reward/b": [1.0, 0.0] * 4}
    folder = tmp_path / "run"
    (folder / "rollouts").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "rollouts" / "step_000001.parquet")
    (folder / "config.yaml").write_text("advantage_estimator: gdpo\n")
    return folder


def test_a_log_alone_is_diagnosed_and_nothing_is_written(run_folder: Path) -> None:
    report = report_log(RewardLog(run_folder / "rollouts" / "step_000001.parquet"))
    assert report.diagnosis.source.rollouts == 8
    assert (report.html, report.json) == (None, None)
    assert sorted(path.name for path in run_folder.iterdir()) == ["config.yaml", "rollouts"]


def test_a_run_folder_gets_what_is_not_written_elsewhere(run_folder: Path, tmp_path: Path) -> None:
    report = report_log(RewardLog(run_folder), html=tmp_path / "page.html")
    assert (report.html, report.json) == (tmp_path / "page.html", run_folder / "report.json")
    assert not (run_folder / "report.html").exists()
    assert json.loads((run_folder / "report.json").read_text())["source"]["rollouts"] == 8


def test_a_folder_of_rollouts_without_a_run_gets_no_report(run_folder: Path) -> None:
    (run_folder / "config.yaml").unlink()
    assert report_log(RewardLog(run_folder)).json is None


def test_weights_and_progress_reach_the_diagnosis(run_folder: Path) -> None:
    seen: list[int] = []
    report = report_log(RewardLog(run_folder), {"b": 0.5}, progress=seen.append)
    assert [reward.weight for reward in report.diagnosis.rewards] == [1.0, 0.5]
    assert seen


def test_a_setting_that_is_given_goes_before_that_of_the_folder(run_folder: Path) -> None:
    hard = Setting.named("gd2po-hard", "test")
    for report in (report_log(RewardLog(run_folder), setting=hard), write_run_report(run_folder, [1, 2], setting=hard)):
        assert report.diagnosis.source.run.label == "gd2po-hard"
    assert [reward.weight for reward in report.diagnosis.rewards] == [1.0, 2.0]
    assert json.loads((run_folder / "report.json").read_text())["source"]["weights_origin"] == "given"


def test_a_place_that_cannot_be_written_is_named_before_the_log_is_read(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RewardLog(run_folder / "rollouts")
    monkeypatch.setattr(log, "chunks", lambda **_: pytest.fail("the log was read"))
    (tmp_path / "pages").mkdir()
    with pytest.raises(OutputWriteError, match="pages cannot be written: it is a folder: name a file"):
        report_log(log, html=tmp_path / "pages")
    (tmp_path / "file").touch()
    with pytest.raises(OutputWriteError, match="a file or a broken link stands where a folder has to be"):
        report_log(log, json=tmp_path / "file" / "numbers.json")


def test_no_report_takes_the_place_of_its_log_or_of_the_other(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,group,a,b\n1,0,1,0\n1,0,0,1\n")
    (tmp_path / "sub").mkdir()
    for place in (path, tmp_path / "sub" / ".." / "log.csv"):
        with pytest.raises(OutputWriteError, match="is a file of the log"):
            report_log(RewardLog(path), html=place)
        with pytest.raises(OutputWriteError, match="is a file of the log"):
            report_log(RewardLog(path), json=place)
    with pytest.raises(OutputWriteError, match="or written twice"):
        report_log(RewardLog(path), html=tmp_path / "out", json=tmp_path / "out")
    assert path.read_text().startswith("step,")
