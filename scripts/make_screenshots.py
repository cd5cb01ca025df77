"""Take the pictures of docs/images from the report of a run and from the pages that other commands wrote.

    python scripts/make_screenshots.py --report runs/quickstart
    python scripts/make_screenshots.py --map runs/compare-worlds/compare.html --replay replay.html

docs/gallery.md has the commands that make them. The report is made anew from the run's rollouts. Needs playwright and a
Chromium of the machine, or `CHROMIUM_PATH`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from playwright.sync_api import sync_playwright

from gd2po.diagnosis import RewardLog, diagnose, write_html

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, SCALE, ABOVE, BELOW = 1160, 1.5, 32, 8
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Picture(NamedTuple):
    """What a picture shows."""

    page: str
    scheme: Literal["light", "dark"]
    chart: str
    """That has to be drawn first."""
    first: str
    """The element that the picture starts with."""
    last: str


PICTURES = {
    "diagnosis.png": Picture("report", "light", "#explorer svg", "body", "#verdict .finding"),
    "diagnosis-dark.png": Picture("report", "dark", "#explorer svg", "body", "#verdict .finding"),
    "threshold-explorer.png": Picture("report", "light", "#explorer svg", "#threshold", "#threshold > .card"),
    "worlds-map.png": Picture("map", "light", "#map", "#map", "#map .card"),
    "replay.png": Picture("replay", "light", "#gold-0 svg", "#gold-section-0", "#gold-section-0 figure"),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="run folder or log, for the report")
    parser.add_argument("--map", type=Path, help="page of gd2po compare over several worlds")
    parser.add_argument("--replay", type=Path, help="page of gd2po replay with a gold column")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args(argv)
    pages = {name: path for name in ("report", "map", "replay") if (path := getattr(options, name))}
    if not pages:
        parser.error("nothing to take: name a page with --report, --map or --replay")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if "report" in pages:
            pages["report"] = write_html(diagnose(RewardLog(pages["report"])), Path(folder) / "report.html")
        take(pages, options.out)


def take(pages: Mapping[str, Path], out: Path) -> None:
    """Take every picture of the pages."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        for name, picture in PICTURES.items():
            if picture.page not in pages:
                continue
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE, color_scheme=picture.scheme
            )
            page.goto(pages[picture.page].resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            page.wait_for_selector(picture.chart)
            page.screenshot(path=out / name, full_page=True, clip=frame(page, picture.first, picture.last))
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
