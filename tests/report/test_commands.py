"""Commands that people paste work from where they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gd2po.report import commands


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment in a folder with a blank, off the path."""
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    for name in ("gd2po", "activate", "python"):
        (folder / name).write_text("#!/bin/sh\necho called $@\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return folder


def pasted(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout.strip()


def test_off_the_path_the_command_goes_by_its_path(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands.program() == "'my env/bin/gd2po'"
    assert pasted(commands.command("diagnose", "runs/a b")) == "called diagnose runs/a b"
    assert commands.activation() == "source 'my env/bin/activate'"
    monkeypatch.chdir("/")
    assert pasted(commands.command("train")) == "called train"


def test_on_the_path_it_goes_by_its_name(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}:/bin")
    assert commands.command("diagnose", "runs/mine") == "gd2po diagnose runs/mine"
    assert commands.activation() is None


def test_another_gd2po_on_the_path_is_not_ours(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = environment.parent.parent / "other"
    other.mkdir()
    (other / "gd2po").write_text("#!/bin/sh\nexit 1\n")
    (other / "gd2po").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:/bin")
    assert commands.program() == "'my env/bin/gd2po'"


def test_without_a_script_it_goes_through_python(environment: Path) -> None:
    (environment / "gd2po").unlink()
    (environment / "activate").unlink()
    assert commands.program().endswith("python' -m gd2po")
    assert commands.activation() is None
