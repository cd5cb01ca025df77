"""Methods, seeds, and what a comparison refuses before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from gd2po.comparison.run import plan as plans
from gd2po.comparison.run.plan import Plan
from gd2po.errors import ConfigError, RunFolderError


@pytest.mark.parametrize(
    ("names", "own", "message"),
    [
        (["gdpo", "gd2po-hrad"], [], "no method 'gd2po-hrad'. Did you mean 'gd2po-hard'?"),
        (["gdpo", "gdpo"], [], "Two methods are named 'gdpo'"),
        (["gdpo"], [], "at least two methods"),
        (["gdpo", "grpo"], ["GDPO:snr_eps=1"], "Two methods are named 'GDPO'"),
        (["gdpo", "grpo"], ["gdpo:snr_eps=1"], "`own_methods`: 'gdpo' is a built-in method"),
        (["gdpo"], ["mine"], "`own_methods` must be name:key=value"),
        (["gdpo"], ["mine:"], "must be name:key=value"),
        (["gdpo"], ["mine:hard"], "must be name:key=value"),
        (["gdpo"], ["../up:snr_eps=1"], "`own_methods`: a name, which becomes a folder"),
        (["gdpo"], ["mine:snr_eps=1,snr_eps=2"], "sets `snr_eps` twice"),
        (["gdpo"], ["mine:max_steps=80"], "`max_steps`, which has to be equal in all methods"),
        (["gdpo"], ["mine:num-generations=4"], "`num_generations`, which has to be equal"),
        (["gdpo"], ["mine:seed=4"], "`seed`, which has to be equal"),
    ],
)
def test_wrong_methods_are_refused_by_name(names: list[str], own: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans.choose_methods(names, own)
    assert message in str(caught.value)


def test_a_value_may_hold_commas_and_lists() -> None:
    name, overrides = plans.parse_method('mine:model_init_kwargs={"a": 1, "b": 2},reward_weights=1 2')
    assert (name, overrides) == ("mine", {"model_init_kwargs": '{"a": 1, "b": 2}', "reward_weights": "1 2"})


def test_the_method_itself_goes_by_the_name_that_it_has_in_worlds_and_replays_too() -> None:
    assert plans.parse_method("half:method=gd2po") == plans.parse_method("half:advantage_estimator=gd2po")
    with pytest.raises(ConfigError, match="sets `advantage_estimator` twice"):
        plans.parse_method("half:method=gd2po,advantage_estimator=gdpo")


def test_methods_keep_their_order() -> None:
    assert list(plans.choose_methods(["grpo", "gdpo"], ["a:snr_eps=1"])) == ["grpo", "gdpo", "a"]


@pytest.mark.parametrize(("text", "seeds"), [("0-4", [0, 1, 2, 3, 4]), ("7", [7]), ("3,0-1", [3, 0, 1])])
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert plans.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [("0,1,0", "has 0 twice"), ("0-3,2", "has 2 twice"), ("3-1", "from low to high"), ("", "needs numbers"),
     ("-1", "needs numbers"), ("a", "needs numbers"), ("1,", "needs numbers"), (str(2**32), "below 2^32")],
)  # fmt: skip
def test_wrong_seeds_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans.parse_seeds(text)
    assert message in str(caught.value)


def test_the_baseline_is_gdpo_or_else_the_first() -> None:
    assert plans.choose_baseline(None, {"grpo": {}, "gdpo": {}}) == "gdpo"
    assert plans.choose_baseline(None, {"grpo": {}, "mine": {}}) == "grpo"
    assert plans.choose_baseline("mine", {"gdpo": {}, "mine": {}}) == "mine"
    with pytest.raises(ConfigError, match="one of the methods compared: grpo; got 'gdpo'"):
        plans.choose_baseline("gdpo", {"grpo": {}})


def test_two_names_for_the_same_settings_are_refused() -> None:
    plans.refuse_same_settings({"a": {"x": 1}, "b": {"x": 2}})
    with pytest.raises(ConfigError, match="Methods 'a' and 'c' are the same settings here"):
        plans.refuse_same_settings({"a": {"x": 1, "y": 2}, "b": {"x": 2}, "c": {"y": 2, "x": 1}})


def test_seeds_are_the_outer_loop(make_plan: Callable[..., Plan]) -> None:
    assert make_plan(["grpo", "gdpo"]).runs == [("grpo", 0), ("gdpo", 0), ("grpo", 1), ("gdpo", 1)]


def test_a_plan_is_read_as_it_was_written(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    assert plans.read_plan(tmp_path) is None
    plan = make_plan(["gdpo", "gd2po-snr"])
    plans.write_plan(tmp_path, plan)
    assert plans.read_plan(tmp_path) == plan
    (tmp_path / plans.PLAN).write_text("{")
    with pytest.raises(RunFolderError, match="is not the plan of a comparison"):
        plans.read_plan(tmp_path)


def test_the_same_comparison_goes_on_and_may_grow(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    old = make_plan(["gdpo", "gd2po-snr"])
    for new in (old, make_plan(["grpo", "gdpo", "gd2po-snr"]), make_plan(["gd2po-snr", "gdpo"], seeds=[0, 1, 2])):
        plans.require_same_comparison(tmp_path, new, old)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"learning_rate": 2e-3, "eval_prompts": 8}}, "learning_rate is 0.002 and was 0.001"),
        ({"threads": 2}, "threads is 2 and was 1"),
        ({"seeds": [0]}, "seed 1 is missing"),
        ({"methods": {"gdpo": {"advantage_estimator": "gdpo"}}}, "method gd2po-snr is missing"),
        ({"methods": {"gdpo": {}, "gd2po-snr": {}}}, "method gdpo is {} and was"),
    ],
)
def test_another_comparison_in_the_folder_is_refused(
    changes: dict[str, object], message: str, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    old = make_plan(["gdpo", "gd2po-snr"])
    with pytest.raises(RunFolderError, match="holds another comparison") as caught:
        plans.require_same_comparison(tmp_path, dataclasses.replace(old, **changes), old)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "Choose another `output_dir`" in str(caught.value)
