"""The page in a real browser: it draws without errors or requests, the explorer moves, and text stays text."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gd2po.diagnosis import RewardLog, diagnose, write_html
from gd2po.report.wording import percent

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


@pytest.fixture
def page_file(make_log: Any, write_log: Any, tmp_path: Path) -> Path:
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
    return write_html(
        diagnose(RewardLog(write_log({**columns, "completion_tokens": [30] * len(texts)}))), tmp_path / "page.html"
    )


class Visit:
    """An open page, with everything that it complained about or asked for."""

    def __init__(self, browser: Any, file: Path, width: int = 1400, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        self.page.wait_for_selector("#explorer svg")

    def number(self, selector: str) -> float:
        """A percentage on the page."""
        return float(self.page.text_content(selector).strip("%<>"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_it_draws_without_errors_requests_or_sideways_scrolling(
    browser: Any, page_file: Path, width: int, scheme: str
) -> None:
    visit = Visit(browser, page_file, width, scheme)
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    charts = visit.page.eval_on_selector_all(".chart", "charts => charts.map(c => c.querySelectorAll('svg').length)")
    visit.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    assert len(charts) == 3 + 2 + 2 + 1
    assert all(count > 0 for count in charts)


def test_the_verdict_comes_first(browser: Any, page_file: Path) -> None:
    page = Visit(browser, page_file).page
    assert page.text_content("h1").startswith("A trade-off")
    top = page.evaluate("document.querySelector('#verdict .finding').getBoundingClientRect().bottom")
    assert top < 900


def test_the_explorer_follows_the_threshold(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file)
    page = visit.page
    seen = []
    for value in ("0", "0.4", "1"):
        page.eval_on_selector("#dial", f"dial => {{ dial.value = {value}; dial.dispatchEvent(new Event('input')); }}")
        line = page.evaluate("document.getElementById('explorer').layout.shapes[0].x0")
        assert line == float(value)
        seen.append((visit.number("#kept"), visit.number("#signal-0"), visit.number("#penalty-1")))
    assert seen[0] == (100, 100, 100)
    assert all(before > after for before, after in zip(seen[0], seen[1], strict=True))
    assert all(before > after for before, after in zip(seen[1], seen[2], strict=True))
    page.click("[data-threshold='0.3']")
    assert page.text_content("#dial-value") == "0.30"
    page.focus("#dial")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#dial-value") == "0.29"
    assert visit.complaints == []


def test_the_script_and_the_report_round_alike(browser: Any) -> None:
    script = (resources.files("gd2po.report") / "templates" / "page.js").read_text(encoding="utf-8")
    function = re.search(r"const percent = \(share\) => \{.*?\n  \};", script, re.DOTALL).group(0)
    shares = [share for step in range(-40, 2041) for share in (step / 2000, step / 2000 + 3e-5)]
    page = browser.new_page()
    shown = page.evaluate(f"shares => {{ {function} return shares.map(percent); }}", shares)
    assert dict(zip(shares, shown, strict=True)) == {share: percent(share) for share in shares}
    assert page.evaluate(f"() => {{ {function} return percent(0.996); }}") == "99.6%"
    page.close()


def test_the_explorer_says_which_shown_rollouts_go(browser: Any, page_file: Path) -> None:
    page = Visit(browser, page_file).page
    page.click("[data-threshold='1']")
    dropped = page.locator(".rollout.dropped").count()
    conflicts = page.locator(".rollout:not([data-snr=''])").count()
    assert dropped == conflicts > 0
    page.eval_on_selector("#dial", "dial => { dial.value = 0; dial.dispatchEvent(new Event('input')); }")
    assert page.locator(".rollout.dropped").count() == 0


def test_markup_in_a_completion_stays_text(browser: Any, page_file: Path) -> None:
    page = Visit(browser, page_file).page
    assert page.title() != "taken"
    assert page.locator("main img").count() == 0
    assert page.locator("main script").count() == 0
    assert EVIL in page.text_content("#prompts .rollout pre")
    assert EVIL in page.text_content("#prompts summary .title")
    assert EVIL in page.locator("#rewards h3").nth(2).text_content()


def test_an_inline_handler_would_not_run_even_if_it_got_in(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file)
    visit.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.taken = 1\">')"
    )
    visit.page.wait_for_timeout(200)
    assert visit.page.evaluate("window.taken") is None
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_a_change_of_scheme_repaints_the_charts(browser: Any, page_file: Path) -> None:
    page = Visit(browser, page_file).page
    colour = "document.getElementById('course-0').data[0].line.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)  # the policy forbids the evaluation that waiting for a condition takes
    assert (light, page.evaluate(colour)) == ("#0072b2", "#5aaee6")
