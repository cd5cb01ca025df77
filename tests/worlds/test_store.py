"""Runs in a folder: what is there is not run again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gd2po.core import Method, Setting
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.worlds import WORLDS, World, WorldRun, run_all, store

WORLD = dataclasses.replace(WORLDS["gauss"], prompts=4, prompts_per_step=4, steps=4)
SETTINGS = [Setting.named("gdpo", "test"), Setting.named("gd2po-hard", "test")]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What has been simulated, in order."""
    calls: list[tuple[str, float]] = []
    real = store.simulate

    def recorded(world: World, setting: Setting, learning_rate: float, *args: Any, **kwargs: Any) -> WorldRun:
        calls.append((setting.label, learning_rate))
        return real(world, setting, learning_rate, *args, **kwargs)

    monkeypatch.setattr(store, "simulate", recorded)
    return calls


def test_a_folder_resumes_and_gives_the_same_runs(tmp_path: Path, simulated: list[tuple[str, float]]) -> None:
    first = run_all([WORLD], SETTINGS[:1], [0, 1], folder=tmp_path)
    assert simulated == [("gdpo", 0.3), ("gdpo", 1.0), ("gdpo", 3.0)]
    simulated.clear()
    seen: list[WorldRun] = []
    both = run_all([WORLD], SETTINGS, [0, 1], folder=tmp_path, progress=seen.append)
    assert simulated == [("gd2po-hard", 0.3), ("gd2po-hard", 1.0), ("gd2po-hard", 3.0)]
    assert both[:3] == first
    assert both == seen == run_all([WORLD], SETTINGS, [0, 1])
    assert len((tmp_path / "gauss.jsonl").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"worlds": [dataclasses.replace(WORLD, group_size=4)]},
        {"settings": [Setting.of({"method": "gdpo", "scale_rewards": False}, "test")]},
        {"seeds": [0, 2]},
        {"learning_rates": [2.0]},
    ],
)
def test_another_world_setting_seed_or_learning_rate_is_run(
    tmp_path: Path, simulated: list[tuple[str, float]], change: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"worlds": [WORLD], "settings": SETTINGS[:1], "seeds": [0, 1], "learning_rates": [1.0]}
    run_all(**usual, folder=tmp_path)
    run_all(**{**usual, **change}, folder=tmp_path)
    assert len(simulated) == 2


def test_another_name_or_grid_is_not_run_again(tmp_path: Path, simulated: list[tuple[str, float]]) -> None:
    run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)
    runs = run_all(
        [dataclasses.replace(WORLD, title="other", learning_rates=(1.0,))], {"mine": SETTINGS[0]}, [0], folder=tmp_path
    )
    assert len(simulated) == 1
    assert [run.label for run in runs] == ["mine"]


def test_a_setting_may_be_made_for_each_world() -> None:
    def weighed(world: World) -> Setting:
        return Setting.of({"method": "gd2po", "filtering": "hard" if len(world.all_rewards) == 2 else "none"}, "test")

    four = dataclasses.replace(WORLDS["spiky3-four"], prompts=4, prompts_per_step=4, steps=4)
    made = run_all([WORLD, four], {"own": weighed}, [0], [1.0])
    assert made[0].score == run_all([WORLD], SETTINGS[1:], [0], [1.0])[0].score
    assert made[1].score == run_all([four], SETTINGS[:1], [0], [1.0])[0].score


@pytest.mark.parametrize("line", ["{", "[]", '{"world": "gauss"}'])
def test_a_line_that_is_no_run_is_an_error_with_its_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "gauss.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"gauss.jsonl, line 1 is not a run of a world"):
        run_all([WORLD], SETTINGS, [0], folder=tmp_path)


def test_worlds_and_settings_need_different_names() -> None:
    with pytest.raises(InvalidInputError, match="`worlds` needs one or more of different names: got gauss, gauss"):
        run_all([WORLD, WORLD], SETTINGS, [0])
    with pytest.raises(InvalidInputError, match="`settings` needs one or more of different labels: got gdpo"):
        run_all([WORLD], SETTINGS[:1] * 2, [0])
    with pytest.raises(InvalidInputError, match="`settings` needs one or more of different labels: got none"):
        run_all([WORLD], {}, [0])
    with pytest.raises(InvalidInputError, match="`learning_rates` needs one or more numbers"):
        run_all([WORLD], SETTINGS, [0], [])


def test_changed_code_is_run_again(
    tmp_path: Path, simulated: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)
    (tmp_path / "changed.py").write_text("# draws of another kind\n", encoding="utf-8")
    monkeypatch.setattr(store.draws, "__file__", str(tmp_path / "changed.py"))
    store._digest.cache_clear()
    run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)
    assert len(simulated) == 2
    monkeypatch.undo()
    store._digest.cache_clear()
    run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)  # with the first code again, the first run counts
    assert len((tmp_path / "gauss.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_method_of_ones_own_is_known_by_its_code(tmp_path: Path, simulated: list[tuple[str, float]]) -> None:
    for sign in ("", "-"):
        path = tmp_path / f"mine{len(sign)}.py"
        path.write_text(
            "from gd2po import gdpo_advantages\n\n"
            "def mine(rewards, group_ids, *, reward_weights=None, token_counts=None):\n"
            f"    return gdpo_advantages({sign}rewards, group_ids, reward_weights=reward_weights)\n",
            encoding="utf-8",
        )
        scope: dict[str, Any] = {}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
        setting = Setting(Method("mine", "", "", scope["mine"]), {})
        run_all([WORLD], [setting], [0], [1.0], folder=tmp_path / "runs")
    assert len(simulated) == 2


def test_a_kept_run_that_was_changed_by_hand_is_an_error(tmp_path: Path) -> None:
    run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)
    path = tmp_path / "gauss.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"score"', '"scores"'), encoding="utf-8")
    with pytest.raises(DataFormatError, match="gauss.jsonl holds a run that cannot be read"):
        run_all([WORLD], SETTINGS[:1], [0], [1.0], folder=tmp_path)
