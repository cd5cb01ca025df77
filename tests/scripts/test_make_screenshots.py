"""The script that takes the pictures of docs/images, on a small log."""

from __future__ import annotations

import random
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gd2po import replay
from gd2po.core import Setting
from gd2po.logs.reward_log import RewardLog
from gd2po.worlds import WORLDS
from gd2po.worlds.analysis import compare_worlds
from gd2po.worlds.views.page import write_html as write_map

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def screenshots(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    import make_screenshots

    return make_screenshots


def size(picture: Path) -> tuple[int, int]:
    """Width and height, from a PNG's header."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


@pytest.mark.slow
def test_every_picture_is_taken_anew(screenshots: Any, tmp_path: Path) -> None:
    if not any(map(shutil.which, screenshots.CHROMIUM_NAMES)):
        pytest.skip("no Chromium found")
    chance = random.Random(0)
    rows = [f"{row // 64},{row // 4},{chance.random()},{chance.random()},{chance.random()}" for row in range(256)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["step,group,correct,brief,label", *rows]))
    replayed = replay.write_html(replay.replay(RewardLog(log), gold="label"), tmp_path / "replay.html")
    settings = [Setting.named(label, "test") for label in ("gdpo", "gd2po-hard")]
    worlds = [replace(WORLDS[name], steps=2) for name in ("gauss", "spiky3")]
    world_map = write_map(compare_worlds(worlds, settings, seeds=range(2), learning_rates=[1.0]), tmp_path / "map.html")
    screenshots.main(["--report", str(log), "--map", str(world_map), "--replay", str(replayed), "--out", str(tmp_path)])
    sizes = {name: size(tmp_path / name) for name in screenshots.PICTURES}
    assert {width for width, _ in sizes.values()} == {1740}
    assert sizes["diagnosis.png"] == sizes["diagnosis-dark.png"]
    assert (tmp_path / "diagnosis.png").read_bytes() != (tmp_path / "diagnosis-dark.png").read_bytes()
    assert min(height for name, (_, height) in sizes.items() if name != "worlds-map.png") > 600
    assert sizes["worlds-map.png"][1] > 200


def test_no_page_is_an_error_that_names_the_options(screenshots: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        screenshots.main([])
    assert "--report" in capsys.readouterr().err


def test_a_machine_without_a_browser_is_told_so(screenshots: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "CHROMIUM_NAMES", ())
    monkeypatch.delenv("CHROMIUM_PATH", raising=False)
    with pytest.raises(SystemExit, match="No Chromium found"):
        screenshots.chromium_path()
