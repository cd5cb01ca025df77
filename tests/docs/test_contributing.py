"""The three walks of CONTRIBUTING.md lead where they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gd2po import METHODS, Setting
from gd2po.logs import dialects
from gd2po.logs.reward_log import RewardLog

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def names_of(section: str) -> dict[str, Any]:
    """What the code of a section defines."""
    (code,) = re.findall(rf"## {section}\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    return names


def test_the_method_of_the_walk_works_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    method = names_of("Add a method")["CLIPPED"]
    monkeypatch.setitem(METHODS, method.name, method)
    setting = Setting.of({"method": "clipped", "bound": 0.5, "whitening": "none"}, "here")
    result = setting.advantages(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 0, 0]))
    assert result.advantages.tolist() == [-0.5, 0.0, 0.5]


def test_the_format_of_the_walk_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "DIALECTS", (names_of("Add a log format")["DIALECT"], *dialects.DIALECTS))
    (tmp_path / "log.csv").write_text("episode,task_hash,correct,brief\n0,a,1,0\n0,a,0,1\n")
    layout = RewardLog(tmp_path / "log.csv").layout
    assert (layout.step, layout.group, layout.reward_names) == ("episode", "task_hash", ["correct", "brief"])


def test_the_host_of_the_walk_gives_advantages_and_metrics() -> None:
    host = names_of("Add a host")["Host"]({"reward_keys": ["a", "b"], "method": "gdpo"})
    samples = [{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": None}]
    advantages, metrics = host.advantages(samples, ["p", "p"], torch.tensor([3, 4]))
    assert advantages[0] > 0 > advantages[1]
    assert metrics["conflict/rate"] == 0
