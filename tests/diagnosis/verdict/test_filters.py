"""The advice about a filter that starves a reward is one that the run can follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gd2po.core import Setting
from gd2po.diagnosis import RewardLog, diagnose
from gd2po.diagnosis.model import Explorer
from gd2po.diagnosis.verdict.filters import less_filtering


def explorer(recommended: float, *, is_run: bool = True) -> Explorer:
    numbers: Any = dict.fromkeys(Explorer.__dataclass_fields__)
    return Explorer(**numbers | {"recommended_threshold": recommended, "marked_is_run": is_run, "min_retained": 0.8})


@pytest.mark.parametrize(
    ("options", "recommended", "is_run", "expected"),
    [
        ({"snr_threshold": 0.5}, 0.2, True, "Lower snr_threshold from 0.5 to at most 0.2, where every reward"),
        ({"snr_threshold": 0.5}, 0.0, True, "No threshold leaves every reward 80% of both: do not filter (gdpo)."),
        ({"snr_threshold": 0.2}, 0.2, True, "Lower snr_threshold, which is 0.2, or do not filter (gdpo)."),
        ({"filtering": "hard"}, 0.2, True, "Set filtering to snr with an snr_threshold of at most 0.2"),
        ({"filtering": "hard"}, 0.0, True, "No threshold leaves every reward 80% of both"),
        ({"snr_threshold": "auto", "min_retained": 0.3}, 0.2, False, "Raise min_retained, which is 0.3, or"),
        ({"conflict_pairs": "correlated"}, 0.2, False, "Lower snr_threshold, or set snr_threshold to auto"),
        ({"conflict_pairs": "families", "filtering": "hard"}, 0.2, False, "Set filtering to snr with a low"),
        ({"method": "consensus"}, 0.2, False, "Set drop_conflicts to none, which keeps all rollouts."),
        (
            {"method": "consensus", "drop_conflicts": "all"}, 0.2, False,
            "Set drop_conflicts to praised, which keeps the rollouts that are blamed, or to none.",
        ),
    ],
)  # fmt: skip
def test_a_run_is_told_of_what_its_own_method_has(
    options: dict[str, Any], recommended: float, is_run: bool, expected: str
) -> None:
    setting = Setting.of({"method": "gd2po", **options}, "test")
    assert less_filtering(setting, explorer(recommended, is_run=is_run)).startswith(expected)


@pytest.mark.parametrize(
    ("recommended", "expected"),
    [
        (0.2, "If you filter, then up to a threshold of 0.2: there every reward keeps 80% of both."),
        (0.0, "No threshold leaves every reward 80% of both: do not filter (gdpo)."),
    ],
)
def test_a_filter_that_the_run_lacks_is_only_spoken_of(recommended: float, expected: str) -> None:
    assert less_filtering(None, explorer(recommended, is_run=False)) == expected


def trade_off(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
    effort = random.normal(size=(groups, size))
    return {"quality": effort, "brevity": -effort + 0.3 * random.normal(size=(groups, size))}


@pytest.mark.parametrize(
    ("setting", "begins"),
    [
        (Setting.of({"snr_threshold": 0.3}, "test"), "Lower snr_threshold from 0.3 to at most 0.02"),
        (Setting.named("gd2po-hard", "test"), "Set filtering to snr with an snr_threshold of at most 0.02"),
        (Setting.named("gdpo", "test"), "gdpo drops nothing here. If you filter, then up to a threshold of 0.02"),
        (None, "If you filter, then up to a threshold of 0.02"),
    ],
)
def test_the_verdict_says_so(make_log: Any, write_log: Any, setting: Setting | None, begins: str) -> None:
    diagnosis = diagnose(RewardLog(write_log(make_log(trade_off).columns)), setting=setting)
    (starved,) = [found for found in diagnosis.verdict.findings if found.rule == "starved"]
    assert starved.advice.startswith(begins)
