"""Take the pictures of docs/images from the report of a run.

    gd2po train --output_dir runs/quickstart
    python scripts/make_screenshots.py runs/quickstart

The report is made anew from the run's rollouts. Needs playwright and a Chromium of the machine, or `CHROMIUM_PATH`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from gd2po.diagnosis import RewardLog, diagnose, write_html

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, SCALE, ABOVE, BELOW = 1160, 1.5, 32, 8
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PICTURES = {
    "diagnosis.png": ("light", "body", "#rewards figure"),
    "diagnosis-dark.png": ("dark", "body", "#rewards figure"),
    "threshold-explorer.png": ("light", "#threshold", "#threshold > .card"),
}
"""By file: colour scheme, the element that a picture starts with, and the one that it ends with."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of gd2po train")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = write_html(diagnose(RewardLog(options.run)), Path(folder) / "report.html")
        browser = driver.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        for name, (scheme, first, last) in PICTURES.items():
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE, color_scheme=scheme
            )
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-ready]")
            page.wait_for_selector("#explorer svg")
            page.screenshot(path=options.out / name, full_page=True, clip=frame(page, first, last))
            page.close()
        browser.close()


def frame(page: Any, first: str, last: str) -> dict[str, float]:
    """The part of the page from one element to the end of another, over its full width."""
    start, end = page.locator(first).first.bounding_box(), page.locator(last).first.bounding_box()
    top = max(0, start["y"] - ABOVE)
    return {"x": 0, "y": top, "width": WIDTH, "height": end["y"] + end["height"] + BELOW - top}


def chromium_path() -> str:
    """The browser to drive."""
    found = os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        raise SystemExit("No Chromium found: install one, or set CHROMIUM_PATH.")
    return found


if __name__ == "__main__":
    main()
