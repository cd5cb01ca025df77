"""Where the rewards of a run conflict, and what each method would do about it: from the run's own log.

    log = RewardLog("outputs/completions")   # what TRL, verl or gd2po wrote, or a plain table
    diagnosis = diagnose(log)
    write_html(diagnosis, "report.html")

Needs `gd2po[report]`.
"""

from gd2po.diagnosis.analysis import diagnose
from gd2po.diagnosis.export import to_json, write_json
from gd2po.diagnosis.layout import ColumnChoices
from gd2po.diagnosis.log import RewardLog
from gd2po.diagnosis.model import Diagnosis
from gd2po.diagnosis.report import render_html, write_html
from gd2po.diagnosis.run_report import RunReport, write_run_report
from gd2po.diagnosis.terminal import print_diagnosis

__all__ = [
    "ColumnChoices",
    "Diagnosis",
    "RewardLog",
    "RunReport",
    "diagnose",
    "print_diagnosis",
    "render_html",
    "to_json",
    "write_html",
    "write_json",
    "write_run_report",
]
