"""The reports on a log, and the one in a run's own folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gd2po.core import Setting
from gd2po.diagnosis.analysis import diagnose
from gd2po.diagnosis.model import Diagnosis
from gd2po.diagnosis.views.json import write_json
from gd2po.diagnosis.views.page import write_html
from gd2po.logs.reward_log import RewardLog
from gd2po.runs.files import require_places
from gd2po.runs.folder import CONFIG, REPORT_HTML, REPORT_JSON


@dataclass(frozen=True)
class RunReport:
    """A diagnosis and where it was written; None where it was not."""

    diagnosis: Diagnosis
    html: Path | None
    json: Path | None


def report_log(
    log: RewardLog,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    reward_families: Mapping[str, str] | None = None,
    setting: Setting | None = None,
    reward_conditions: Any = None,
    html: str | Path | None = None,
    json: str | Path | None = None,
    reload_s: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    r"""Diagnose a log and write what is asked for; for a run folder of gd2po the report inside it in any case.

    Args:
        log: the rollouts.
        reward_weights: as `diagnose` takes them.
        reward_families: as `diagnose` takes them.
        setting: as `diagnose` takes it.
        reward_conditions: as `diagnose` takes them.
        html: file of the page; None for report.html in a run folder of gd2po, and for none elsewhere.
        json: file of the numbers; None for report.json in a run folder of gd2po, and for none elsewhere.
        reload_s: seconds after which the page loads itself again; None: it does not.
        progress: told how many rollouts have been read, now and then.

    Returns:
        The diagnosis and the files.

    Raises:
        DataFormatError: a malformed row or file.
        InvalidInputError: weights that do not go with the rewards, or none but 0.
        ConfigError: families that do not go with the rewards.
        OutputWriteError: a file cannot be written.
        DiskFullError: no space is left for it.
        MissingDependencyError: a page is to be written, and `gd2po[report]` is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "log.csv")
        ...     _ = path.write_text("step,group,correct,brief\n0,a,1,0\n0,a,0,1\n0,a,1,1\n0,a,0,0\n")
        ...     report = report_log(RewardLog(path), json=Path(folder, "numbers.json"))
        >>> report.html, report.json.name
        (None, 'numbers.json')
    """
    folder = log.files.run_folder
    if folder is not None and (folder / CONFIG).is_file():
        html, json = html or folder / REPORT_HTML, json or folder / REPORT_JSON
    require_places((html, json), log.files.paths)  # before the log is read, which may take minutes
    diagnosis = diagnose(
        log,
        reward_weights,
        reward_families=reward_families,
        setting=setting,
        reward_conditions=reward_conditions,
        progress=progress,
    )
    return RunReport(
        diagnosis=diagnosis,
        html=None if html is None else write_html(diagnosis, html, reload_s=reload_s),
        json=None if json is None else write_json(diagnosis, json),
    )


def write_run_report(
    folder: str | Path,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    reward_families: Mapping[str, str] | None = None,
    setting: Setting | None = None,
) -> RunReport:
    """Diagnose a run folder and write report.html and report.json into it.

    Args:
        folder: what `gd2po train` wrote, or the output folder of a TRL run with log_completions=True.
        reward_weights: as `diagnose` takes them.
        reward_families: as `diagnose` takes them.
        setting: as `diagnose` takes it.

    Raises:
        DataFormatError: the folder holds no rollouts, or some that cannot be read.
        InvalidInputError: weights that do not go with the rewards, or none but 0.
        ConfigError: families that do not go with the rewards.
        MissingDependencyError: `gd2po[report]` is not installed.
    """
    folder = Path(folder)
    log = RewardLog(folder)
    return report_log(
        log,
        reward_weights,
        reward_families=reward_families,
        setting=setting,
        html=folder / REPORT_HTML,
        json=folder / REPORT_JSON,
    )
