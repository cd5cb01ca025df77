"""`gd2po replay` from its command line."""

from __future__ import annotations

import json
from pathlib import Path

from replay_logs import fooled, write
from typer.testing import CliRunner

from gd2po.cli import app

QUICK = ["--methods", "gdpo,rvpo", "--learning_rates", "1"]


def test_it_prints_and_writes(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(10))
    page = tmp_path / "replay.html"
    result = CliRunner().invoke(app, ["replay", str(path), "--gold", "quality", *QUICK, "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "quality" in result.output
    assert page.is_file()
    assert f"Written: {page}" in result.output


def test_the_numbers_go_to_the_standard_output(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", fooled(10))
    result = CliRunner().invoke(app, ["replay", str(path), *QUICK, "--rewards", "grader_a,grader_b", "--json", "-"])
    assert json.loads(result.stdout)["held_out"] is True


def test_diagnose_says_how_to_replay_the_log(tmp_path: Path) -> None:
    path = write(tmp_path / "my log.csv", fooled(10))
    page = tmp_path / "report.html"
    result = CliRunner().invoke(app, ["diagnose", str(path), "--html", str(page)])
    assert f"replay '{path}' --gold COLUMN" in result.output.replace("\n", "")
    assert 'id="replay"' in page.read_text(encoding="utf-8")
