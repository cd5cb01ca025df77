"""Pages in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def chromium_path() -> str | None:
    """CHROMIUM_PATH, or a Chromium that the machine has."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM_PATH") or next((path for name in names if (path := shutil.which(name))), None)


class Tab:
    """A page of one browser: a second file in it opens several times as fast as in a new one."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, file: Path, width: int, scheme: str) -> tuple[Any, list[str], list[str]]:
        """Open a file: the page, what it complains about, what it asks for."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)
        self.complaints, self.requests = [], []
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        return self.page, self.complaints, self.requests


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium found: install one, or set CHROMIUM_PATH")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        yield Tab(browser.new_page())
        browser.close()


@pytest.fixture
def open_page(tab: Tab) -> Callable[..., tuple[Any, list[str], list[str]]]:
    """Opens a file in a browser: the page, what it complained about, what it asked for."""
    return tab.open
