"""Where the rewards of a run conflict, and what each method would do about it: from the run's own log.

    log = RewardLog("outputs/completions")   # what TRL, verl or gd2po wrote, or a plain table
    diagnosis = diagnose(log)
    write_html(diagnosis, "report.html")

Needs `gd2po[report]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gd2po.lazy import lazy_name

if TYPE_CHECKING:
    from gd2po.diagnosis.analysis import diagnose
    from gd2po.diagnosis.model import Diagnosis
    from gd2po.diagnosis.run_report import RunReport, report_log, write_run_report
    from gd2po.diagnosis.views.json import to_json, write_json
    from gd2po.diagnosis.views.page import render_html, write_html
    from gd2po.diagnosis.views.terminal import print_diagnosis
    from gd2po.logs.choices import ColumnChoices
    from gd2po.logs.reward_log import RewardLog

__all__ = [
    "ColumnChoices",
    "Diagnosis",
    "RewardLog",
    "RunReport",
    "diagnose",
    "print_diagnosis",
    "render_html",
    "report_log",
    "to_json",
    "write_html",
    "write_json",
    "write_run_report",
]

_HOMES = {
    "ColumnChoices": "gd2po.logs.choices",
    "Diagnosis": "gd2po.diagnosis.model",
    "RewardLog": "gd2po.logs.reward_log",
    "RunReport": "gd2po.diagnosis.run_report",
    "diagnose": "gd2po.diagnosis.analysis",
    "print_diagnosis": "gd2po.diagnosis.views.terminal",
    "render_html": "gd2po.diagnosis.views.page",
    "report_log": "gd2po.diagnosis.run_report",
    "to_json": "gd2po.diagnosis.views.json",
    "write_html": "gd2po.diagnosis.views.page",
    "write_json": "gd2po.diagnosis.views.json",
    "write_run_report": "gd2po.diagnosis.run_report",
}


def __getattr__(name: str) -> Any:
    # The trainer's advice needs the limits of the verdict, and no reader of logs.
    return lazy_name(__name__, _HOMES, name)
