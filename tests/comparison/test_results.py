"""Run folders as numbers."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from log_fixtures import write_json_lines
from rich.console import Console

from gd2po.comparison.analysis import compare
from gd2po.comparison.results import Run, read_run, read_runs, shares_of
from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.run.runner import Runner
from gd2po.comparison.views.charts import all_charts
from gd2po.comparison.views.page import render_html
from gd2po.comparison.views.terminal import print_comparison
from gd2po.errors import RunFolderError


@pytest.fixture(scope="module")
def made(make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two methods with two seeds each left behind."""
    plan = make_plan({"a": {"action": "log"}, "b": {"action": "log"}}, seeds=[5, 6])
    out = tmp_path_factory.mktemp("comparison") / "out"
    with files.opened(out):
        Runner(plan, out, program, 2, Console(file=io.StringIO())).run()
    return out


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy, which a test may damage."""
    return shutil.copytree(made, tmp_path / "out")


def test_a_run_gives_its_curve_its_filter_and_its_cost(folder: Path) -> None:
    run = read_run(folder, "a", 5)
    assert run.status == "done"
    assert run.curve[0] == (0, {"verified": 0.25, "brevity": 5.0})
    assert run.curve[1] == (3, {"verified": 0.625, "brevity": pytest.approx(5.3)})
    assert run.final == run.curve[1][1]
    assert run.shares == {"verified"}
    assert run.filter == {"filtered_rate": 0.25, "rate": 0.5, "retained/brevity": 0.75}
    assert run.seconds_per_step == 2.0
    assert run.tokens_per_step == pytest.approx(4 * (10 + 20 + 30) / 3)
    assert run.rollouts_per_step == 4


def test_a_comparison_shows_what_was_not_trained_on_first_and_in_percent(
    folder: Path, make_plan: Callable[..., Plan]
) -> None:
    plan = make_plan({"a": {"action": "log"}, "b": {"action": "log"}}, seeds=[5, 6])
    comparison = compare(plan, read_runs(plan, folder))
    assert (comparison.metrics, comparison.shares) == (["verified", "brevity"], ["verified"])
    console = Console(file=io.StringIO())
    print_comparison(comparison, console)
    header, _, row = console.file.getvalue().split("95% intervals over seeds")[1].splitlines()[2:5]  # type: ignore[attr-defined]
    assert header.split() == ["method", "seeds", "verified", "brevity"]
    assert row.split()[-6:] == ["62.5%", "[62.5%,", "62.5%]", "5.8", "[5.3,", "6.3]"]
    assert "62.5% [62.5%, 62.5%]" in render_html(comparison)
    axes = [figure["layout"]["yaxis"] for figure in all_charts(comparison).values()]
    assert [axis.get("tickformat") for axis in axes] == [".0%", None]


def test_a_score_that_is_graded_at_any_step_of_any_run_is_no_share(folder: Path) -> None:
    file = files.run_folder(folder, "a", 5) / "evaluations.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line, mean, shares in zip(lines, (0.0, 0.3), (["verified", "late"], ["verified"]), strict=True):
        line["metrics"]["late"], line["metrics"]["nowhere"], line["shares"] = mean, None, shares
    write_json_lines(file, lines)
    run = read_run(folder, "a", 5)
    assert run.shares == {"verified"}
    assert shares_of([run, read_run(folder, "b", 5)]) == ["verified"]
    graded = Run("b", 6, "done", curve=((0, {"verified": 0.5}),))
    assert shares_of([run, graded]) == []
    undefined = Run("b", 6, "done", curve=((0, {"verified": None}),))
    assert shares_of([run, undefined]) == ["verified"]


def test_the_digest_tells_prompts_apart(folder: Path) -> None:
    assert read_run(folder, "a", 5).prompts_digest == read_run(folder, "b", 5).prompts_digest
    assert read_run(folder, "a", 5).prompts_digest != read_run(folder, "a", 6).prompts_digest


def test_a_run_that_was_never_made_is_missing(folder: Path) -> None:
    assert read_run(folder, "a", 7).status == "missing"


@pytest.mark.parametrize("name", ["evaluations.jsonl", "trainer_state.json"])
def test_a_finished_run_that_is_damaged_names_its_folder(name: str, folder: Path) -> None:
    (files.run_folder(folder, "a", 5) / name).write_text('{"step"')
    with pytest.raises(
        RunFolderError, match=r"a/seed-5 is a finished run that cannot be read \((JSONDecodeError|DataFormatError)"
    ):
        read_run(folder, "a", 5)
