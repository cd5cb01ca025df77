"""The page of a replay, also in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replay_logs import fooled, open_log, write

from gd2po.core import Setting
from gd2po.replay import Replay, render_html, replay, write_html, write_json

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
SETTINGS = [Setting.named(label, "test") for label in ("gdpo", "gd2po-hard", "rvpo")]


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Three rewards, held out in turn; the names of one and of the log are markup."""
    path = write(tmp_path_factory.mktemp("log") / "log.csv", fooled(20))
    log = open_log(path, rewards=["grader_a", "grader_b", "brief"])
    result = replay(log, settings=SETTINGS, learning_rates=[0.3, 3.0])
    golds = [dataclasses.replace(gold, gold=EVIL, rewards=[EVIL, "b"]) for gold in result.golds[:1]] + result.golds[1:]
    return dataclasses.replace(result, golds=golds, source=EVIL)


def test_the_page_shows_every_method_at_every_distance_and_the_grid(held_out: Replay) -> None:
    page = render_html(held_out)
    for method in held_out.golds[1].methods:
        assert page.count(method.label) >= len(held_out.golds)
    assert page.count('<th class="right">At 0.3 nats</th>') == 3
    assert re.search(r"\[(0\.3|3): [+−]\d\.\d+\]", page)
    assert "does not show which method serves what you want" in page
    assert "Exploration: only logged rollouts can be chosen" in page


def test_markup_in_names_is_escaped(held_out: Replay) -> None:
    page = render_html(held_out)
    assert EVIL not in page
    assert "&lt;script&gt;document.title" in page


def test_the_json_holds_the_replay(held_out: Replay, tmp_path: Path) -> None:
    document = json.loads(write_json(held_out, tmp_path / "replay.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["schema_version"], document["held_out"]) == ("gd2po.replay", 1, True)
    assert len(document["golds"][0]["methods"][0]["gain_curve"]) == document["steps"] + 1


def test_the_page_draws_without_errors_requests_or_sideways_scrolling(
    open_page: Callable[..., tuple[Any, list[str], list[str]]], held_out: Replay, tmp_path: Path
) -> None:
    file = write_html(held_out, tmp_path / "replay.html")
    for width, scheme in ((1400, "light"), (390, "dark")):
        page, complaints, requests = open_page(file, width, scheme)
        assert complaints == []
        assert requests == [file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Three lines and three bands for each of three rewards.
        assert page.locator("main .chart .scatterlayer .trace").count() == 18
        assert page.title() != "taken"
        assert page.locator("main img").count() == 0
