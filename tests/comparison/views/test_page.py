"""The page and the terminal view of a comparison; the page also in a real browser."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gd2po.comparison.analysis import compare
from gd2po.comparison.model import Comparison
from gd2po.comparison.results import Run
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.views.page import render_html, write_html
from gd2po.comparison.views.terminal import print_comparison

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
LIFTS = (0.01, 0.0, 0.04, -0.05, 0.02, -0.01)
NOISE = (0.0, 0.013, -0.011, 0.004, -0.006)

SIX = ("grpo", "gdpo", "gd2po-hard", "gd2po-snr", "gd2po-auto", "gd2po-gated")


@pytest.fixture
def comparison(make_plan: Callable[..., Plan], make_run: Callable[..., Run]) -> Comparison:
    """All six methods and five seeds; one run failed; a reward whose name is markup."""
    plan = make_plan(list(SIX), seeds=range(5))
    runs = []
    for lift, method in zip(LIFTS, SIX, strict=True):
        for seed, noise in enumerate(NOISE):
            wobble = 0.003 * ((seed * 7 + len(method)) % 5 - 2)
            final = 0.7 + lift + noise + wobble
            scores = {"verified": final, f"brevity{EVIL}": 0.5 + noise, "format": 0.97 + wobble}
            run = make_run(method, seed, scores, start=0.45, shares={"verified"})
            failed = Run(method, seed, "failed", f"ValueError: {EVIL}")
            runs.append(failed if (method, seed) == ("grpo", 3) else run)
    return compare(plan, runs)


def test_the_page_shows_every_method_and_what_is_beyond_noise(comparison: Comparison) -> None:
    page = render_html(comparison)
    for name in SIX:
        assert name in page
    coloured = re.findall(r'<span class="tag (good|act)">([+−][^<]*)</span>', page)
    assert any(tone == "good" and text.startswith("+4") for tone, text in coloured)
    assert any(tone == "act" and text.startswith("−") for tone, text in coloured)
    assert "1 failed" in page
    assert re.search(r'data-label="verified">74\.\d% \[', page)
    assert re.search(r'data-label="format">0\.97 ', page)


def test_markup_in_names_and_errors_is_escaped(comparison: Comparison) -> None:
    page = render_html(comparison)
    assert EVIL not in page
    assert "&lt;script&gt;document.title" in page


def test_the_terminal_view_marks_what_is_beyond_noise(comparison: Comparison) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_comparison(comparison, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    differences = text.split("Difference to gdpo")[1].split("Steps to a target")[0]
    row = next(line for line in differences.splitlines() if line.strip().startswith("gd2po-hard"))
    assert row.count("*") == 1
    assert re.match(r"\s*gd2po-hard +\+[3-5]\.\d \[", row)  # in points, as the score is a share
    assert re.search(r"verified ≥ \d\d\.\d%", text)
    assert "4 (1 failed)" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_comparison_without_numbers_has_a_page(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan(["gdpo", "grpo"], seeds=[0])
    empty = compare(plan, [Run("gdpo", 0, "failed", "ValueError: x"), Run("grpo", 0, "missing")])
    assert "No run has come to its end" in render_html(empty)
    print_comparison(empty, Console(file=io.StringIO()))


def test_the_page_draws_without_errors_requests_or_sideways_scrolling(
    open_page: Callable[..., tuple[Any, list[str], list[str]]], comparison: Comparison, tmp_path: Path
) -> None:
    file = write_html(comparison, tmp_path / "compare.html")
    for width, scheme in ((1400, "light"), (390, "dark")):
        page, complaints, requests = open_page(file, width, scheme)
        assert complaints == []
        assert requests == [file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("#curves svg.main-svg").count() >= 3
        # Six lines and six bands, the bands painted in the colours of the scheme.
        assert page.locator("#curve-0 .scatterlayer .trace").count() == 12
        fills = page.eval_on_selector_all("#curve-0 .js-fill", "paths => paths.map(path => path.style.fill)")
        assert len(set(fills)) == 6
        assert page.title() != "taken"
        assert page.locator("main img").count() == 0
