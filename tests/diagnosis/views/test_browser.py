"""The page in a real browser: it draws without errors or requests, the explorer moves, and text stays text."""

from __future__ import annotations

import re
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab
from log_fixtures import write_columns

from gd2po.diagnosis import RewardLog, diagnose, report_log, write_html
from gd2po.diagnosis.watch import LogWatch
from gd2po.report.wording import percent

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


@pytest.fixture(scope="module")
def page_file(make_log: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a log with three rewards, names too long for a phone, and markup in its texts."""

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        effort = random.normal(size=(groups, size))
        return {
            "correctness_of_the_whole_answer_by_the_strict_grader": effort + random.normal(size=(groups, size)),
            "brevity": -effort + 0.5 * random.normal(size=(groups, size)),
            f"format{EVIL}": (random.random((groups, size)) < 0.8).astype(float),
        }

    log = make_log(rewards, steps=12, groups=16)
    texts = [f"{EVIL} rollout {row} {'long' * 80}" for row in range(len(log.steps))]
    columns = {**log.columns, "prompt": [f"{EVIL} {group}" for group in log.groups], "completion": texts}
    folder = tmp_path_factory.mktemp("page")
    log_file = write_columns({**columns, "completion_tokens": [30] * len(texts)}, folder / "log.parquet")
    return write_html(diagnose(RewardLog(log_file)), folder / "page.html")


@pytest.fixture
def visit(open_page: Any, page_file: Path) -> Any:
    """Opens the page, with its explorer drawn."""

    def open_drawn(width: int = 1400, scheme: str = "light") -> tuple[Any, list[str], list[str]]:
        page, complaints, requests = open_page(page_file, width, scheme)
        page.wait_for_selector("#explorer svg")
        return page, complaints, requests

    return open_drawn


def number(page: Any, selector: str) -> float:
    """A percentage on the page."""
    return float(page.text_content(selector).strip("%<>"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_it_draws_without_errors_requests_or_sideways_scrolling(
    visit: Any, page_file: Path, width: int, scheme: str
) -> None:
    page, complaints, requests = visit(width, scheme)
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    charts = page.eval_on_selector_all(".chart", "charts => charts.map(c => c.querySelectorAll('svg').length)")
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert len(charts) == 3 + 2 + 2 + 1
    assert all(count > 0 for count in charts)


def test_the_verdict_comes_first(visit: Any) -> None:
    page, _, _ = visit()
    assert page.text_content("h1").startswith("A trade-off")
    assert page.evaluate("document.querySelector('#action').getBoundingClientRect().bottom") < 900


def test_what_is_to_be_pasted_is_copied_as_it_is(visit: Any) -> None:
    page, complaints, _ = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.wait_for_selector("#copy:text('Copied')")
    pasted = page.evaluate("navigator.clipboard.readText()")
    assert pasted == page.text_content("#to-paste") == "reward_weights: [1.0, 1.0, 1.0]"
    assert complaints == []


@pytest.fixture(scope="module")
def page_of(make_log: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of a log with so many rewards of long names."""

    def make(count: int) -> Path:
        def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
            return {f"reward_that_judges_aspect_{k:02d}": random.normal(size=(groups, size)) for k in range(count)}

        folder = tmp_path_factory.mktemp("many")
        log_file = write_columns(make_log(rewards, steps=1, groups=16).columns, folder / "log.parquet")
        return write_html(diagnose(RewardLog(log_file)), folder / "page.html")

    return make


BOXES = """selector => [...document.querySelectorAll(selector)].map(one => {
  const box = one.getBoundingClientRect(), card = one.closest('.card').getBoundingClientRect();
  return [box.left, box.right, card.left, card.right, one.textContent];
})"""


@pytest.mark.parametrize("count", [3, 4, 6, 12, 30])
def test_the_labels_of_the_heatmaps_fit_on_a_phone(open_page: Any, page_of: Any, count: int) -> None:
    page, complaints, _ = open_page(page_of(count), 390, "light")
    page.wait_for_selector("#heat-correlation svg .ytick")
    for axis in ("xtick", "ytick"):
        boxes = page.evaluate(BOXES, f"#heat-correlation .{axis} text")
        assert boxes
        assert all(card_left <= left and right <= card_right for left, right, card_left, card_right, _ in boxes)
    numbered = page.is_visible("#pairs .numbers")
    assert numbered is (count > 4)
    if numbered:  # the labels stand side by side, and the key names every reward
        ends = sorted((left, right) for left, right, *_ in page.evaluate(BOXES, "#heat-correlation .xtick text"))
        assert all(before[1] < after[0] for before, after in pairwise(ends))
        assert page.locator("#pairs .numbers").first.locator("span").count() == count
    cells = page.evaluate(BOXES, "#heat-correlation .heatmap-label text")
    widths = [right - left for left, right, *_ in cells]
    room = page.evaluate("document.getElementById('heat-correlation')._fullLayout.xaxis._length") / count
    assert (len(cells) > 0) is (count <= 6)
    assert all(width < room for width in widths)
    assert complaints == []


def test_names_label_the_heatmaps_where_there_is_room(visit: Any) -> None:
    page, _, _ = visit(1400)
    assert "brevity" in [text for *_, text in page.evaluate(BOXES, "#heat-correlation .xtick text")]
    assert not page.is_visible("#pairs .numbers")


def test_the_explorer_follows_the_threshold(visit: Any) -> None:
    page, complaints, _ = visit()
    seen = []
    for value in ("0", "0.4", "1"):
        page.eval_on_selector("#dial", f"dial => {{ dial.value = {value}; dial.dispatchEvent(new Event('input')); }}")
        line = page.evaluate("document.getElementById('explorer').layout.shapes[0].x0")
        assert line == float(value)
        seen.append((number(page, "#kept"), number(page, "#signal-0"), number(page, "#penalty-1")))
    assert seen[0] == (100, 100, 100)
    assert all(before > after for before, after in zip(seen[0], seen[1], strict=True))
    assert all(before > after for before, after in zip(seen[1], seen[2], strict=True))
    page.click("[data-threshold='0.3']")
    assert page.text_content("#dial-value") == "0.30"
    page.focus("#dial")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#dial-value") == "0.29"
    assert complaints == []


def test_the_script_and_the_report_round_alike(tab: Tab) -> None:
    script = (resources.files("gd2po.report") / "templates" / "page.js").read_text(encoding="utf-8")
    function = re.search(r"const percent = \(share\) => \{.*?\n  \};", script, re.DOTALL).group(0)
    shares = [share for step in range(-40, 2041) for share in (step / 2000, step / 2000 + 3e-5)]
    tab.page.goto("about:blank")
    shown = tab.page.evaluate(f"shares => {{ {function} return shares.map(percent); }}", shares)
    assert dict(zip(shares, shown, strict=True)) == {share: percent(share) for share in shares}
    assert tab.page.evaluate(f"() => {{ {function} return percent(0.996); }}") == "99.6%"


def test_the_explorer_says_which_shown_rollouts_go(visit: Any) -> None:
    page, _, _ = visit()
    page.click("[data-threshold='1']")
    dropped = page.locator(".rollout.dropped").count()
    conflicts = page.locator(".rollout:not([data-snr=''])").count()
    assert dropped == conflicts > 0
    page.eval_on_selector("#dial", "dial => { dial.value = 0; dial.dispatchEvent(new Event('input')); }")
    assert page.locator(".rollout.dropped").count() == 0


def test_markup_in_a_completion_stays_text(visit: Any) -> None:
    page, _, _ = visit()
    assert page.title() != "taken"
    assert page.locator("main img").count() == 0
    assert page.locator("main script").count() == 0
    assert EVIL in page.text_content("#prompts .rollout pre")
    assert EVIL in page.text_content("#prompts summary .title")
    assert EVIL in page.locator("#rewards h3").nth(2).text_content()


def test_an_inline_handler_would_not_run_even_if_it_got_in(visit: Any) -> None:
    page, complaints, _ = visit()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.taken = 1\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.taken") is None
    assert any("Content Security Policy" in complaint for complaint in complaints)


def test_a_change_of_scheme_repaints_the_charts(visit: Any) -> None:
    page, _, _ = visit()
    colour = "document.getElementById('course-0').data[0].line.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)  # the policy forbids the evaluation that waiting for a condition takes
    assert (light, page.evaluate(colour)) == ("#0072b2", "#5aaee6")


def test_the_page_of_a_run_that_goes_on_loads_itself_again_and_looks_as_it_was_left(
    tab: Tab, make_log: Any, trade_off: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gd2po.diagnosis.watch.REST", 0)
    log_file, page_file = tmp_path / "log.parquet", tmp_path / "page.html"

    def grow(steps: int) -> None:
        columns = make_log(trade_off, steps=steps, groups=8).columns
        rows = len(columns["group"])
        texts = {"prompt": [f"prompt {group}" for group in columns["group"]], "completion": ["c"] * rows}
        write_columns({**columns, **texts}, log_file)

    grow(2)
    watch = LogWatch(
        log_file, lambda reload_s: report_log(RewardLog(log_file), html=page_file, reload_s=reload_s and 1), pause_s=0.1
    )
    reports = watch.reports()
    next(reports)
    page, complaints, _ = tab.open(page_file, 1000, "light")
    page.wait_for_selector("#live")
    page.click("[data-threshold='1']")
    page.evaluate("document.querySelector('#prompts details').open = false")
    page.evaluate("scrollTo(0, 700)")

    grow(5)
    next(reports)
    page.wait_for_selector(".facts:has-text('5 steps, 1 to 5')", timeout=15_000)
    page.wait_for_selector("html[data-ready]")
    assert page.text_content("#dial-value") == "1.00"
    assert page.evaluate("document.querySelector('#prompts details').open") is False
    assert abs(page.evaluate("scrollY") - 700) < 5

    watch.close()
    page.wait_for_selector("html:not([data-reload])", timeout=15_000)
    assert page.locator("#live").count() == 0
    assert complaints == []


def test_the_page_does_not_reload_under_the_hand_of_a_reader(tab: Tab, page_file: Path, tmp_path: Path) -> None:
    text = page_file.read_text(encoding="utf-8").replace('<html lang="en">', '<html lang="en" data-reload="1">')
    live = tmp_path / "live.html"
    live.write_text(text, encoding="utf-8")
    page, _, _ = tab.open(live, 1000, "light")
    page.evaluate("window.mark = 1")
    for x in range(5):
        page.mouse.move(100 + x, 100)
        page.wait_for_timeout(300)
    assert page.evaluate("window.mark") == 1
    page.wait_for_timeout(2100)
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("window.mark") is None
