"""A tracker that fails. tests/engines/test_trackers_cpu.py has those that work, which are not installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gd2po.diagnosis.run_report import RunReport
from gd2po.integrations.trl.tracked_report import ReportToTrackers


@pytest.fixture
def report(tmp_path: Path) -> RunReport:
    (tmp_path / "report.html").write_text("<!doctype html><p>page</p>")
    diagnosis: Any = SimpleNamespace(verdict=SimpleNamespace(headline="Rewards agree."))
    return RunReport(diagnosis, tmp_path / "report.html", None)


def args(tmp_path: Path, *trackers: str) -> Any:
    return SimpleNamespace(
        report_to=list(trackers), output_dir=str(tmp_path), project="p", run_name="mine",
        trackio_space_id=None, trackio_bucket_id=None, hub_private_repo=None,
    )  # fmt: skip


def test_each_tracker_that_fails_is_one_line(
    report: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    wandb = ModuleType("wandb")
    wandb.run = None  # type: ignore[attr-defined]

    def offline(**options: Any) -> None:
        raise ConnectionError("no route to host\nand a traceback")

    trackio = ModuleType("trackio")
    trackio.init = offline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    assert ReportToTrackers().send(report, args(tmp_path, "tensorboard", "wandb", "trackio"), 3) == [
        "wandb did not take the report: its run is no longer open",
        "trackio did not take the report: no route to host",
        f"tensorboard did not take the report: {tmp_path}/runs holds none of its folders",
    ]


def test_a_run_without_these_trackers_sends_nothing(
    report: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert ReportToTrackers().send(report, args(tmp_path, "mlflow"), 3) == []
    missing = ReportToTrackers().send(report, args(tmp_path, "trackio"), 3)
    assert missing == ["trackio did not take the report: import of trackio halted; None in sys.modules"]
