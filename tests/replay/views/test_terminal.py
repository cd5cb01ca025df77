"""The terminal view of a replay."""

from __future__ import annotations

import io
from pathlib import Path

from replay_logs import fooled, open_log, write
from rich.console import Console

from gd2po.core import Setting
from gd2po.replay import print_replay, replay


def test_each_gold_is_a_table_of_methods(tmp_path: Path) -> None:
    log = open_log(write(tmp_path / "log.csv", fooled(20)), rewards=["grader_a", "grader_b"])
    settings = [Setting.named(label, "test") for label in ("gdpo", "rvpo")]
    result = replay(log, "quality", settings=settings, learning_rates=[0.01])
    console = Console(file=io.StringIO(), width=80)
    print_replay(result, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("On quality, ")
    assert any(line.endswith("learned from grader_a, grader_b") and "20 prompts" in line for line in lines)
    (row,) = (line for line in lines if line.strip().startswith("rvpo "))
    assert row.count("not reached") == 3
    assert all(line == line.rstrip() for line in lines)
