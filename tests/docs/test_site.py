"""The documentation site leaves out no page and no public name, and loads nothing from elsewhere.

The strict build, which finds dead links and anchors, runs in `make check`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
REFERENCE = {name: text for name, text in PAGES.items() if name.startswith("api/")}
DOCUMENTED = re.findall(r"^::: (\S+)$", "\n".join(REFERENCE.values()), re.MULTILINE)
ROOMS = ("gd2po", "gd2po.diagnosis", "gd2po.evaluation", "gd2po.rewards", "gd2po.data", "gd2po.worlds", "gd2po.replay")
CODE = [
    pytest.param(code, id=name)
    for name, text in {"index.md": PAGES["index.md"], **REFERENCE}.items()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]


def pages_of(nav: Any) -> Iterator[str]:
    """The paths in a navigation, in order."""
    if isinstance(nav, str):
        yield nav
        return
    for entry in nav.values() if isinstance(nav, dict) else nav:
        yield from pages_of(entry)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("site_hooks")


def test_the_navigation_has_every_page_once_and_no_other() -> None:
    assert sorted(pages_of(NAV)) == sorted(PAGES)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room: str) -> None:
    public = {f"{room}.{name}" for name in importlib.import_module(room).__all__ if not name.startswith("_")}
    assert public - set(DOCUMENTED) == set()


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", PAGES[page]):
        assert (DOCS / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("code", CODE)
def test_the_code_runs_and_prints_what_it_says(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "docs", "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    for shown in re.findall(r"print\(.*\)  # (.*)$", code, re.MULTILINE):
        assert shown in printed


def test_links_that_leave_the_pages_become_text_and_others_stay(hooks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs" / "api").mkdir(parents=True)
    for name in ("README.md", "docs/trl.md"):
        (tmp_path / name).touch()
    docs = tmp_path / "docs"
    assert hooks.without_links_out("See [the README](../README.md#more).", docs, docs) == "See the README."
    for folder, kept in ((docs / "api", "[TRL](../trl.md)"), (docs, "[gone](../GONE.md)"), (docs, "[TRL](trl.md)")):
        assert hooks.without_links_out(kept, folder, docs) == kept


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.test/x.js"></script>', ["https://cdn.test/x.js"]),
        ('<link rel="stylesheet" href="//cdn.test/x.css">', ["//cdn.test/x.css"]),
        ('<img alt="" src="http://host.test/x.png">', ["http://host.test/x.png"]),
        ("@font-face { src: url('https://fonts.test/x.woff') }", ["https://fonts.test/x.woff"]),
        ('@import "https://fonts.test/x.css";', ["https://fonts.test/x.css"]),
        (
            '<a href="https://arxiv.org">paper</a> <img src="images/x.png"> <link rel="canonical" href="https://x.test">',
            [],
        ),
        ("a { background: url(../x.png) } b { mask: url('data:image/svg+xml;utf8,<svg xmlns=\"http://w3\"/>') }", []),
    ],
)
def test_assets_from_other_hosts_are_found(hooks: ModuleType, text: str, found: list[str]) -> None:
    assert hooks.foreign_assets(text) == found
