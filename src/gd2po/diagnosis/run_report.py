"""The report in a run's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gd2po.diagnosis.analysis import diagnose
from gd2po.diagnosis.model import Diagnosis
from gd2po.diagnosis.views.json import write_json
from gd2po.diagnosis.views.page import write_html
from gd2po.logs.reward_log import RewardLog

HTML_NAME, JSON_NAME = "report.html", "report.json"


@dataclass(frozen=True)
class RunReport:
    """A diagnosis and where it was written."""

    diagnosis: Diagnosis
    html: Path
    json: Path


def write_run_report(folder: str | Path) -> RunReport:
    """Diagnose a run folder and write report.html and report.json into it.

    Args:
        folder: what `gd2po train` wrote, or the output folder of a TRL run with log_completions=True.

    Raises:
        DataFormatError: the folder holds no rollouts, or some that cannot be read.
        MissingDependencyError: `gd2po[report]` is not installed.
    """
    folder = Path(folder)
    diagnosis = diagnose(RewardLog(folder))
    return RunReport(
        diagnosis=diagnosis,
        html=write_html(diagnosis, folder / HTML_NAME),
        json=write_json(diagnosis, folder / JSON_NAME),
    )
