"""Run folders as numbers."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from gd2po.comparison.results import read_run
from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.run.runner import Runner
from gd2po.errors import RunFolderError


@pytest.fixture
def folder(make_plan: Callable[..., Plan], program: tuple[str, ...], tmp_path: Path) -> Path:
    plan = make_plan({"a": {"action": "log"}, "b": {"action": "log"}}, seeds=[5, 6])
    out = tmp_path / "out"
    with files.opened(out):
        Runner(plan, out, program, 2, Console(file=io.StringIO())).run()
    return out


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


def test_the_digest_tells_prompts_apart(folder: Path) -> None:
    assert read_run(folder, "a", 5).prompts_digest == read_run(folder, "b", 5).prompts_digest
    assert read_run(folder, "a", 5).prompts_digest != read_run(folder, "a", 6).prompts_digest


def test_a_run_that_was_never_made_is_missing(folder: Path) -> None:
    assert read_run(folder, "a", 7).status == "missing"


@pytest.mark.parametrize("name", ["evaluations.jsonl", "trainer_state.json"])
def test_a_finished_run_that_is_damaged_names_its_folder(name: str, folder: Path) -> None:
    (files.run_folder(folder, "a", 5) / name).write_text('{"step"')
    with pytest.raises(RunFolderError, match=r"a/seed-5 is a finished run that cannot be read \(JSONDecodeError"):
        read_run(folder, "a", 5)
