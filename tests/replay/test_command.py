"""A log replayed, and the files written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from replay_logs import fooled, open_log, write

from gd2po.errors import ConfigError, OutputWriteError
from gd2po.replay.command import ReplayOptions, replay_log


def test_page_and_numbers_are_written_where_asked(tmp_path: Path) -> None:
    log = open_log(write(tmp_path / "log.csv", fooled(10)))
    html, numbers = tmp_path / "out" / "replay.html", tmp_path / "out" / "replay.json"
    asked = ReplayOptions(
        "quality", methods="gdpo", own_methods=["half:advantage_estimator=gd2po,snr_threshold=0.5"], learning_rates="1",
        reward_weights={"brief": 0.5}, html=str(html), json=str(numbers),
    )  # fmt: skip
    told: list[str] = []
    result, written = replay_log(log, asked, told.append)
    assert written == [html, numbers]
    assert "half" in html.read_text(encoding="utf-8")
    assert json.loads(numbers.read_text(encoding="utf-8"))["labels"] == ["gdpo", "half"] == result.labels
    assert result.golds[0].reward_weights == [1.0, 1.0, 0.5]
    assert "half at 1" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": "gdpo,gdop"}, "Did you mean 'gdpo'?"),
        ({"baseline": "dvao", "methods": "gdpo,grpo"}, "`baseline` must be one of the methods compared"),
        ({"learning_rates": "0"}, "`learning_rates` must be above 0"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    log = open_log(write(tmp_path / "log.csv", fooled(4)))
    with pytest.raises(ConfigError, match=message):
        replay_log(log, ReplayOptions("quality", **options))


def test_no_page_takes_the_place_of_the_log(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(10))
    with pytest.raises(OutputWriteError, match="is a file of the log"):
        replay_log(open_log(path), ReplayOptions("quality", json=str(path)))
    assert path.stat().st_size > 0
