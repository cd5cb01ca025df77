"""Hooks of the documentation site: links out of docs/ become text, and no page may load anything from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.plugins import get_plugin_logger

log = get_plugin_logger("site_hooks")  # with --strict a warning ends the build

_LINK_UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)[^)]*\)")
_CSS_FROM_ELSEWHERE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
_LOADING_ATTRIBUTES = ("src", "srcset", "href", "poster", "data")
_LOADING_NOTHING = ("a", "area")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **kwargs: Any) -> str:
    """A page whose links to files of the repository outside docs/ are plain text: the site has no such pages."""
    return without_links_out(markdown, Path(page.file.abs_src_path).parent, Path(config["docs_dir"]))


def on_post_build(*, config: Any, **kwargs: Any) -> None:
    """Warn about every asset that the built pages and stylesheets would load from another host."""
    site = Path(config["site_dir"])
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        for address in foreign_assets(path.read_text(encoding="utf-8")):
            log.warning(f"{path.relative_to(site)} loads {address}: the site has to work without a network.")


def without_links_out(markdown: str, folder: Path, docs: Path) -> str:
    """The Markdown of a page in `folder`, with the text alone of links that leave `docs` for an existing file.

    A link to a file that does not exist stays as it is, and mkdocs names it.
    """

    def text_or_link(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        leaves = target.exists() and not target.is_relative_to(docs.resolve())
        return match[1] if leaves else match[0]

    return _LINK_UPWARDS.sub(text_or_link, markdown)


def foreign_assets(text: str) -> list[str]:
    """Addresses on other hosts from which a page or a stylesheet loads something. Links to follow load nothing."""
    parser = _Assets()
    parser.feed(text)
    return parser.found + _CSS_FROM_ELSEWHERE.findall(text)


class _Assets(HTMLParser):
    """Collects what the elements of a page load from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LOADING_NOTHING or ("rel", "canonical") in attrs:
            return
        values = [value for name, value in attrs if name in _LOADING_ATTRIBUTES and value]
        self.found += [value for value in values if re.match(r"(https?:)?//", value)]
