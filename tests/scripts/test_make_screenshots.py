"""The script that takes the pictures of docs/images, on a small log."""

from __future__ import annotations

import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

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
    rows = [f"{row // 64},{row // 4},{chance.random()},{chance.random()}" for row in range(256)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["step,group,correct,brief", *rows]))
    screenshots.main([str(log), "--out", str(tmp_path)])
    whole, dark, explorer = (tmp_path / name for name in screenshots.PICTURES)
    assert size(whole) == size(dark)
    assert whole.read_bytes() != dark.read_bytes()
    assert size(whole)[0] == size(explorer)[0] == 1740
    assert min(size(whole)[1], size(explorer)[1]) > 600


def test_a_machine_without_a_browser_is_told_so(screenshots: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "CHROMIUM_NAMES", ())
    monkeypatch.delenv("CHROMIUM_PATH", raising=False)
    with pytest.raises(SystemExit, match="No Chromium found"):
        screenshots.chromium_path()
