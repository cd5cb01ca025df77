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


def args(tmp_path: Path, *trackers: str, **changed: Any) -> Any:
    values: dict[str, Any] = {
        "report_to": list(trackers), "output_dir": str(tmp_path), "project": "p", "run_name": "mine",
        "trackio_space_id": None, "trackio_bucket_id": None, "trackio_static_space_id": None,
        "hub_private_repo": None, "push_to_hub": False,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **changed})


class Trackio(ModuleType):
    """What we ask of trackio."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.logged: list[dict[str, Any]] = []
        self.config = {"learning_rate": 1e-6}

    def init(self, **options: Any) -> Any:
        assert (options["name"], options["resume"]) == ("mine", "must")
        return self

    def Html(self, path: Path) -> str:
        return path.read_text()

    def log(self, metrics: dict[str, Any]) -> None:
        self.logged.append(metrics)

    def finish(self) -> None: ...


def test_each_tracker_that_fails_is_one_line(
    report: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    monkeypatch.delenv("TRACKIO_SPACE_ID", raising=False)
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


@pytest.mark.parametrize(
    ("changed", "sent"),
    [
        ({}, True),
        ({"trackio_space_id": "me/space"}, False),
        ({"trackio_space_id": "me/space", "hub_private_repo": True}, True),
        ({"trackio_space_id": "me/space", "hub_rollouts": True}, True),
        ({"push_to_hub": True}, False),
        ({"push_to_hub": True, "trackio_static_space_id": False}, True),
    ],
)
def test_completions_go_to_a_space_that_others_may_read_only_if_asked(
    report: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], sent: bool
) -> None:
    monkeypatch.delenv("TRACKIO_SPACE_ID", raising=False)
    trackio = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    problems = ReportToTrackers().send(report, args(tmp_path, "trackio", **changed), 3)
    if sent:
        assert trackio.logged == [{"report": "<!doctype html><p>page</p>", "train/global_step": 3}]
        assert problems == []
    else:
        assert trackio.logged == []
        assert "others may read, and shows prompts and completions" in problems[0]
