"""The notebooks run, and what they import, call and link to is there."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gd2po.training.arguments import parse_run

FOLDER = Path(__file__).parents[2] / "examples/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
BASH = "%%bash\n"

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(path: Path) -> list[str]:
    """The code cells of a notebook."""
    cells = nbformat.read(path, nbformat.NO_CONVERT).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def commands_of(path: Path) -> list[list[str]]:
    """The words of every gd2po command in a notebook's shell cells."""
    lines = "\n".join(code for code in code_of(path) if code.startswith(BASH)).replace("\\\n", " ").splitlines()
    return [shlex.split(line[line.index("gd2po ") :]) for line in lines if "gd2po " in line]


def test_there_are_three() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["1-", "2-", "3-"]


@each
def test_it_is_short_valid_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert 8 <= len(notebook.cells) <= 15
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert not re.search(r"/(?:home|root|work|tmp|Users)/", path.read_text(encoding="utf-8"))


@each
def test_its_code_compiles_and_every_imported_name_exists(path: Path) -> None:
    for code in code_of(path):
        if code.startswith(BASH):
            continue
        for node in ast.walk(ast.parse(code, path.name)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


@each
def test_its_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", path.read_text(encoding="utf-8")):
        assert (FOLDER / target).exists(), target


def test_its_training_commands_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [words for path in NOTEBOOKS for words in commands_of(path)]
    assert {words[1] for words in commands} == {"train", "diagnose"}
    for words in commands:
        if words[1] == "train":
            parse_run([*words[2:], "--use_cpu"], "runs/{recipe}")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what nbclient and zmq warn of is theirs
def test_they_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for path in NOTEBOOKS:
        NotebookClient(nbformat.read(path, nbformat.NO_CONVERT), timeout=240, kernel_name="python3").execute()
    assert {"report.html", "replay.html", "runs"} <= {made.name for made in tmp_path.iterdir()}
