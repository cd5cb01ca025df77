"""Worlds, settings, grids and sweeps from texts; bad ones are refused with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gd2po.errors import ConfigError, GD2POError
from gd2po.worlds import WORLDS
from gd2po.worlds.choices import choose_learning_rates, choose_settings, choose_sweep, choose_worlds

MINE = "name: mine\nrewards: [{name: grader, copies: 2, errors: [{kind: gaussian, scale: 0.1}]}]\n"


def test_all_is_every_packaged_world() -> None:
    assert [world.name for world in choose_worlds("all")] == list(WORLDS)


def test_a_world_of_ones_own_is_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    assert [world.name for world in choose_worlds(f"gauss,{path}")] == ["gauss", "mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spky3", "there is no world 'spky3'. Did you mean 'spiky3'?"),
        (" , ", "`world` needs names or YAML files"),
        ("nowhere.yaml", "`nowhere.yaml` must be a YAML file that declares a world"),
    ],
)
def test_what_is_no_world_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_worlds(text)


def test_methods_of_ones_own_take_the_options_of_a_method() -> None:
    own = [
        "half:advantage_estimator=gd2po,snr_threshold=0.5,query_reweighting=false",
        "auto:method=gd2po,snr_threshold=auto",
    ]
    settings = choose_settings(["gdpo"], own)
    assert list(settings) == ["gdpo", "half", "auto"]
    assert dict(settings["half"].options) == {"snr_threshold": 0.5, "query_reweighting": False}
    assert settings["auto"].label == "gd2po-auto"


def test_lists_are_written_as_for_trainers() -> None:
    for text in ("0 0", "[0, 0]"):
        setting = choose_settings(["gdpo"], [f"mine:method=saw,reward_minima={text}"])["mine"]
        assert setting.options["reward_minima"] == [0, 0]


@pytest.mark.parametrize(
    ("names", "own", "message"),
    [
        (["gdpo", "gd2p-hard"], [], "Did you mean 'gd2po-hard'?"),
        (
            ["gdpo"],
            ["mine:method=gd2po,filterin=hard"],
            "`method mine` has no option 'filterin'.*Did you mean 'filtering'",
        ),
        (["gdpo"], ["mine:method=gd2po,snr_threshold=2"], "`method mine`: `snr_threshold` must be"),
        (["gd2po-hard"], ["mine:method=gd2po,filtering=hard"], "'gd2po-hard' and 'mine' are the same settings"),
        (["gdpo"], ["mine:method=gd2po,snr_threshold=[1"], "`snr_threshold` cannot be read"),
        (["gdpo"], [], "at least two methods"),
        (["gdpo", "saw"], [], "saw needs `reward_minima`"),
    ],
)
def test_what_is_no_setting_is_refused(names: list[str], own: list[str], message: str) -> None:
    with pytest.raises(GD2POError, match=message):
        choose_settings(names, own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.3,0", "`learning_rates` must be above 0"),
        ("1,1.0", "has 1 twice"),
        ("a", "needs numbers"),
        ("", "needs numbers"),
    ],
)
def test_what_is_no_grid_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_learning_rates(text)


def test_the_last_word_of_a_knob_is_enough_where_no_other_has_it() -> None:
    assert choose_sweep("copies=2,4", WORLDS["spiky3"]) == ("grader.copies", [2, 4])
    assert choose_sweep("group_size=4,8", WORLDS["spiky3"]) == ("group_size", [4, 8])
    with pytest.raises(ConfigError, match=r"'scale' is the end of .*A.gaussian.scale|'copies' is the end of"):
        choose_sweep("copies=2,4", WORLDS["blind-spot"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rare_gross.sise=1", "has no knob 'rare_gross.sise'. Did you mean 'rare_gross.size'?"),
        ("size", "`sweep` must be knob=value,value"),
        ("size=", "`sweep` needs numbers"),
        ("size=1,x", "`sweep` needs numbers"),
    ],
)
def test_what_is_no_sweep_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_sweep(text, WORLDS["spiky3"])
