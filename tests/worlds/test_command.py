"""`gd2po compare` in worlds, from its options to its files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gd2po.errors import ConfigError, RunFolderError
from gd2po.worlds import command, store
from gd2po.worlds.analysis import WorldMap
from gd2po.worlds.command import WorldOptions, compare_in_worlds

SMALL = """
name: small
prompts: 6
prompts_per_step: 6
steps: 6
rewards: [{name: grader, copies: 2, errors: [{kind: rare_gross, size: 3, frequency: 0.2}]}]
"""


@pytest.fixture
def world(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of what has been simulated."""
    calls: list[str] = []
    real = store.simulate

    def recorded(world: Any, setting: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(setting.label)
        return real(world, setting, *arguments, **options)

    monkeypatch.setattr(store, "simulate", recorded)
    return calls


def compared(world: str, folder: Path, **options: Any) -> tuple[WorldMap, str]:
    asked = {"methods": "gdpo,gd2po-hard", "seeds": "0-4", "learning_rates": "1", **options}
    console = Console(file=io.StringIO(), width=120)
    world_map = compare_in_worlds(WorldOptions(world, output_dir=str(folder), **asked), console)
    assert isinstance(console.file, io.StringIO)
    return world_map, console.file.getvalue()


def test_a_comparison_leaves_runs_plan_json_and_page(world: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    world_map, text = compared(world, folder)
    assert {path.name for path in folder.iterdir()} >= {"small.jsonl", "plan.json", "compare.json", "compare.html"}
    assert f"Written: {folder / 'compare.html'}" in text
    assert "gd2po-hard" in text
    assert json.loads((folder / "compare.json").read_text(encoding="utf-8"))["labels"] == world_map.labels


def test_the_same_command_runs_nothing_again_and_more_methods_join(
    world: str, tmp_path: Path, simulated: list[str]
) -> None:
    first, _ = compared(world, tmp_path / "out")
    again, _ = compared(world, tmp_path / "out")
    assert again == first
    more, _ = compared(world, tmp_path / "out", methods="gdpo,gd2po-hard,grpo")
    assert simulated == ["gdpo", "gd2po-hard", "grpo"]
    assert more.labels == ["gdpo", "gd2po-hard", "grpo"]


def test_what_is_finished_survives_an_interruption(
    world: str, tmp_path: Path, simulated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.simulate

    def interrupted(world: Any, setting: Any, *arguments: Any, **options: Any) -> Any:
        if setting.label == "gd2po-hard":
            raise KeyboardInterrupt
        return real(world, setting, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(store, "simulate", interrupted)
        with pytest.raises(KeyboardInterrupt, match="Finished runs are kept in"):
            compared(world, tmp_path / "out")
    compared(world, tmp_path / "out")
    assert simulated == ["gdpo", "gd2po-hard"]


def test_a_sweep_turns_one_knob_of_one_world(world: str, tmp_path: Path) -> None:
    world_map, text = compared(world, tmp_path / "out", sweep="size=0,3")
    assert (world_map.knob, world_map.values) == ("rare_gross.size", [0, 3])
    assert "rare_gross.size" in text
    with pytest.raises(ConfigError, match="`sweep` turns a knob of one world: got 2 worlds"):
        compared(f"{world},gauss", tmp_path / "out", sweep="size=0,3")


def test_a_folder_of_training_runs_or_something_else_is_refused(world: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "plan.json").write_text('{"config": "quickstart"}', encoding="utf-8")
    with pytest.raises(RunFolderError, match="holds a comparison of training runs"):
        compared(world, tmp_path / "runs")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(RunFolderError, match="is not empty and holds no comparison"):
        compared(world, tmp_path / "other")


def test_the_default_folder_is_named_for_the_world(world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compare_in_worlds(WorldOptions(world, "gdpo,grpo", seeds="0", learning_rates="1"), Console(file=io.StringIO()))
    assert (tmp_path / "runs" / "compare-world-small" / "compare.html").is_file()
    two = [command.choose_worlds(name)[0] for name in ("gauss", "t2")]
    assert command._folder_name(two) == "compare-worlds"


def test_errors_come_before_the_folder_is_made(world: str, tmp_path: Path) -> None:
    for options in ({"baseline": "grpo"}, {"methods": "gdpo,x"}, {"seeds": "a"}, {"sweep": "x=1"}):
        with pytest.raises(ConfigError):
            compared(world, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
