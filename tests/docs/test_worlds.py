"""The page on worlds: its declarations load, its code runs, its table has every world."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from gd2po.core import Setting
from gd2po.worlds import WORLDS, world_of
from gd2po.worlds.analysis import compare_worlds
from gd2po.worlds.error_models import ERROR_MODELS
from gd2po.worlds.views import difference

PAGE = (Path(__file__).parents[2] / "docs" / "worlds.md").read_text(encoding="utf-8")
ROWS = {
    name: [cell.strip().strip("*") for cell in cells.split("|")]
    for name, cells in re.findall(r"^\| `([\w-]+)` \| (.*) \|$", PAGE.split("## The packaged worlds")[1], re.MULTILINE)
}


def test_the_table_has_every_world_with_its_title() -> None:
    assert {name: ROWS[name][0] for name in ROWS if name in WORLDS} == {
        name: world.title for name, world in WORLDS.items()
    }


def test_every_error_model_is_documented_with_its_keys() -> None:
    for kind, model in ERROR_MODELS.items():
        (row,) = re.findall(rf"^\| `{kind}` \|.*\| (.*) \|$", PAGE, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == [field.name for field in fields(model)]


def test_the_yaml_declares_the_packaged_world() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    world = world_of(yaml.safe_load(text), "docs/worlds.md")
    assert replace(world, title=WORLDS[world.name].title) == WORLDS[world.name]


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_code_runs_and_prints_what_it_says(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "worlds.md", "exec"), {})
    printed = capsys.readouterr().out
    for shown in re.findall(r"print\(.*\)  # (.*)$", code, re.MULTILINE):
        assert shown in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spiky3", "trade-off", "feature-one-fooled"])
def test_the_numbers_of_the_table_come_back(name: str) -> None:
    settings = [Setting.named(label, "test") for label in ("gdpo", "grpo", "gd2po-hard", "gd2po-gated")]
    (world,) = compare_worlds([WORLDS[name]], settings, range(24)).worlds
    found = [difference(method.difference).removesuffix(" *") for method in world.methods[1:]]
    assert found == ROWS[name][2:]
