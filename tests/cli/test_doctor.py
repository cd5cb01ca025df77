"""`gd2po doctor` as a user sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.integrations.doctor import Finding


def run(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> tuple[int, str]:
    monkeypatch.setattr("gd2po.integrations.doctor.run_checks", lambda: iter(findings))
    result = CliRunner().invoke(app, ["doctor"])
    return result.exit_code, result.output


def test_each_package_has_a_line_and_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    status, printed = run(
        monkeypatch,
        Finding("torch", "2.6.0", "2 x cuda"),
        Finding("vllm", None, "for generating faster", way_out="pip install vllm"),
    )
    assert status == 0
    assert re.search(r"^torch +2\.6\.0 +ok +2 x cuda$", printed, re.MULTILINE)
    assert re.search(r"^vllm +not installed +- +for generating faster: pip install vllm$", printed, re.MULTILINE)


def test_a_problem_comes_again_at_the_end_with_the_way_out_and_sets_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Finding("trl", "9.0", problem="9.0 is not in the range [a].", way_out="pip install 'gd2po[trl]'")
    status, printed = run(monkeypatch, problem, Finding("ray", "2.0"))
    assert status == 1
    assert re.search(r"^trl +9\.0 +PROBLEM$", printed, re.MULTILINE)
    assert printed.endswith("\ntrl: 9.0 is not in the range [a]. pip install 'gd2po[trl]'\n")


def doctor(*path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", "from gd2po.cli import main; main()", "doctor"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


@pytest.mark.slow
def test_the_command_says_what_is_there_and_ends_with_0() -> None:
    result = doctor()
    assert result.returncode == 0, result.stdout
    assert re.search(r"^torch +\S+ +ok +\S+", result.stdout, re.MULTILINE)
    assert re.search(r"^trl +1\.\d+\.\d+ +ok", result.stdout, re.MULTILINE)


@pytest.mark.slow
def test_the_command_ends_with_1_and_the_remedy_where_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "vllm.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    info = tmp_path / "vllm-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: vllm\nVersion: 0.0.1\n")
    result = doctor(tmp_path)
    assert result.returncode == 1
    assert re.search(r"^vllm +0\.0\.1 +PROBLEM", result.stdout, re.MULTILINE)
    assert "vllm: is installed and does not load: ImportError: libcudart.so.13" in result.stdout
