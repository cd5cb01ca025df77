"""`gd2po init`: what it writes runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.errors import RunFolderError


@pytest.mark.slow
def test_what_init_writes_is_checked_and_trains(tmp_path: Path) -> None:
    def gd2po(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gd2po", *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Written: run.yaml" in gd2po("init")
    checked = gd2po("check-rewards", "--config", "run.yaml")
    assert "correct: applies to 8 of 8 completions" in checked
    assert "brief: applies to 8 of 8 completions" in checked
    gd2po("train", "--config", "run.yaml", "--max_steps", "1", "--output_dir", "runs/try")
    assert json.loads((tmp_path / "runs/try/summary.json").read_text())["steps"] == 1


def test_init_overwrites_nothing_and_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["init", "my run"])
    assert shown.exit_code == 0
    assert "cd 'my run'" in shown.output
    (tmp_path / "my run" / "run.yaml").write_text("mine")
    again = CliRunner().invoke(app, ["init", "my run"])
    assert isinstance(again.exception, RunFolderError)
    assert (tmp_path / "my run" / "run.yaml").read_text() == "mine"
