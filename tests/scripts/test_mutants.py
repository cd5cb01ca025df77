"""Mutants of a small repository, tried with real test runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import mutants
from mutants import TARGETS, Mutant, Target
from mutations import mutations

CODE = """
def larger(a, b):
    if a > b:
        return a
    return b


def count(limit):
    while limit > 0:
        limit -= 1
    return limit
"""
TESTS = """
from gd2po.numbers import count, larger

def test_the_larger_of_two_is_found():
    assert larger(3, 1) == 3
    assert larger(1, 4) == 4

def test_counting_ends_at_zero():
    assert count(3) == 0
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("src/gd2po", "tests", "scripts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/gd2po/__init__.py").touch()
    (tmp_path / "src/gd2po/numbers.py").write_text(CODE)
    (tmp_path / "tests/test_numbers.py").write_text(TESTS)
    (tmp_path / "tests/conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('fast', max_examples=1)\n"
    )
    monkeypatch.setitem(TARGETS, "numbers", Target(["src/gd2po/numbers.py"], ["tests"], 1.0))
    monkeypatch.setattr(mutants, "SHORTEST_LIMIT", 2)
    return tmp_path


@pytest.mark.slow
def test_what_the_tests_notice_is_killed_and_the_rest_survives(repository: Path, tmp_path: Path) -> None:
    every = mutants.sampled(["numbers"], repository, None, seed=0)
    chosen = ("if (a >= b):", "if (a <= b):", "limit += 1")
    drawn = [mutant for mutant in every if mutant.change()["after"] in chosen]
    mutants.run(drawn, repository, jobs=2, budget=600)
    outcomes = {mutant.change()["after"]: (mutant.status, mutant.killed_by) for mutant in drawn}
    # Equal numbers: either is the larger.
    assert {after for after, (status, _) in outcomes.items() if status == "survived"} == {"if (a >= b):"}
    assert outcomes["if (a <= b):"] == ("killed", "tests/test_numbers.py::test_the_larger_of_two_is_found")
    assert outcomes["limit += 1"][0] == "too slow"
    assert (repository / "src/gd2po/numbers.py").read_text() == CODE

    scores, enough = mutants.verdict(["numbers"], drawn, [])
    assert not enough
    survivor = next(mutant for mutant in drawn if mutant.status == "survived")
    mutants.write(tmp_path / "mutants.json", drawn, {})
    (again,) = mutants.survivors(tmp_path / "mutants.json", [], repository)
    assert (again.change(), again.status) == (survivor.change(), "not tried")
    assert mutants.survivors(tmp_path / "mutants.json", [survivor.change()], repository) == []

    scores, enough = mutants.verdict(["numbers"], drawn, [survivor.change() | {"why": "equal numbers"}])
    assert enough
    assert scores["numbers"]["equivalent"] == 1
    assert scores["numbers"]["share"] == 1.0


def test_an_example_in_a_docstring_is_a_test(repository: Path) -> None:
    code = CODE.replace("def count(limit):", 'def count(limit):\n    """Down to 0.\n\n    >>> count(3)\n    0\n    """')
    (repository / "src/gd2po/numbers.py").write_text(code)
    (repository / "tests/test_numbers.py").write_text("def test_nothing():\n    pass\n")
    drawn = [
        mutant for mutant in mutants.sampled(["numbers"], repository, None, 0) if "> 1" in mutant.change()["after"]
    ]
    mutants.run(drawn, repository, jobs=1, budget=600)
    assert {(mutant.status, mutant.killed_by) for mutant in drawn} == {
        ("killed", "src/gd2po/numbers.py::gd2po.numbers.count")
    }


@pytest.mark.parametrize("text", [None, "{", "[]", '{"mutants": [1]}'])
def test_survivors_of_something_else_are_refused(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "other.json").write_text(text)
    with pytest.raises(SystemExit):
        mutants.main(["--only", str(tmp_path / "other.json")])
    assert "other.json is no result of --out" in capsys.readouterr().err


def test_tests_that_fail_without_a_mutant_are_an_error(repository: Path) -> None:
    (repository / "tests/test_numbers.py").write_text("def test_it():\n    assert False\n")
    drawn = mutants.sampled(["numbers"], repository, 1, seed=0)
    with pytest.raises(SystemExit, match="without a mutant"):
        mutants.run(drawn, repository, jobs=1, budget=600)


def test_a_sample_is_the_same_for_the_same_seed_and_of_real_code() -> None:
    root = Path(__file__).parents[2]
    first, again, other = (mutants.sampled(["statistics"], root, 10, seed) for seed in (0, 0, 1))
    assert [mutant.diff() for mutant in first] == [mutant.diff() for mutant in again]
    assert [mutant.diff() for mutant in first] != [mutant.diff() for mutant in other]


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_names_code_and_tests_that_exist(name: str) -> None:
    root = Path(__file__).parents[2]
    for path in (*TARGETS[name].sources, *TARGETS[name].tests):
        assert (root / path).exists()
    ignored = [option.partition("=")[2] for option in TARGETS[name].options if option.startswith("--ignore=")]
    assert all((root / path).exists() for path in ignored)


def test_equivalent_mutants_are_judged_with_a_reason_and_still_exist() -> None:
    root = Path(__file__).parents[2]
    entries = json.loads((root / mutants.EQUIVALENT).read_text(encoding="utf-8"))
    text = {path: (root / path).read_text(encoding="utf-8") for path in {entry["path"] for entry in entries}}
    changes = [Mutant("", path, change, text[path]).change() for path in text for change in mutations(text[path])]
    for entry in entries:
        assert entry["why"]
        assert {key: entry[key] for key in ("path", "before", "after")} in changes


def test_a_run_that_is_told_to_end_leaves_nothing_behind(repository: Path, tmp_path: Path) -> None:
    (repository / "tests/test_numbers.py").write_text(
        "import os, pathlib, time\n\ndef test_it():\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n    time.sleep(600)\n"
    )
    for name in ("mutants.py", "mutations.py"):
        shutil.copy2(Path(mutants.__file__).with_name(name), repository / "scripts" / name)
    script = "import mutants\nmutants.TARGETS['n'] = mutants.Target(['src/gd2po/numbers.py'], ['tests'])\n"
    command = [sys.executable, "-c", f"{script}mutants.main(['--targets', 'n', '--sample', '1', '--jobs', '1'])"]
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(repository / "scripts"), "TMPDIR": str(tmp_path / "scratch")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    process.wait(60)
    assert list((tmp_path / "scratch").glob("mutants-*")) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
