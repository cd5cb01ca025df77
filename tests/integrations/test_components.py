"""The section `gd2po` of an engine's configuration: every method and option, and every mistake."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from host_metrics import needed_options

from gd2po.core import METHODS
from gd2po.errors import ConfigError
from gd2po.integrations.components import HostSettings, number_groups, refuse

KEYS = ["correctness", "format"]
RAMP = {"schedule": "linear", "start": 1.0, "end": -1.0, "steps": 10}
BRIEF = {"reward": "format", "on": "correctness", "threshold": 1.0}
OPTIONS = [
    (method.name, name)
    for method in METHODS.values()
    for name, option in method.options.items()
    if option.words or option.bounds or option.is_switch
]


def settings(**section: Any) -> HostSettings:
    return HostSettings.from_mapping({"reward_keys": KEYS, **section}, "algorithm.gd2po")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_value_of_method(method: str) -> None:
    found = settings(method=method, reward_weights=[1, 0.5], **needed_options(method, 2))
    assert found.setting.method is METHODS[method]
    assert found.reward_weights.at(1) == [1.0, 0.5]
    by_name = settings(method=method, reward_weights={"format": 0.5}, **needed_options(method, 2))
    assert by_name.reward_weights == found.reward_weights
    assert found.session().weights_now == [1.0, 0.5]


def test_families_are_told_by_component() -> None:
    families = {"correctness": "quality", "format": "quality"}
    found = settings(conflict_pairs="families", reward_families=families)
    assert found.reward_families == ("quality", "quality")
    assert found.session().reward_families == ("quality", "quality")
    assert settings(method="gdpo", reward_families={"format": "form"}).reward_families == ("correctness", "form")
    assert settings().reward_families is None


def test_without_a_method_it_is_consensus_and_gd2po_by_an_option_that_consensus_lacks() -> None:
    assert settings().setting.method.name == "consensus"
    assert settings(whitening="none").setting.method.name == "consensus"
    assert settings(filtering="snr").setting.method.name == "gd2po"


@pytest.mark.parametrize(("method", "name"), OPTIONS)
def test_every_option_of_a_method_is_a_key_and_is_checked(method: str, name: str) -> None:
    option, needed = METHODS[method].options[name], needed_options(method, 2)
    given = {name: option.default, **needed}
    assert settings(method=method, **given).setting.options == given
    with pytest.raises(ConfigError, match=rf"`algorithm.gd2po`: `{name}` must be"):
        settings(method=method, **{**needed, name: "nonsense"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"filterin": "hard"}, "`algorithm.gd2po` has no key 'filterin'. Did you mean 'filtering'?"),
        ({"reward_weight": [1, 1]}, "`algorithm.gd2po` has no key 'reward_weight'. Did you mean 'reward_weights'?"),
        ({"log_dir": "x"}, "`algorithm.gd2po` has no key 'log_dir'"),
        ({"method": "gdop"}, "`algorithm.gd2po.method` must be one of"),
        ({"method": "gdop"}, "got 'gdop'. Did you mean 'gdpo'?"),
        ({"method": "grpo", "snr_threshold": 0.5}, "`algorithm.gd2po` has no key 'snr_threshold'"),
        ({"reward_weights": [1]}, "`algorithm.gd2po.reward_weights` needs one weight per reward: expected 2"),
        ({"reward_weights": {"forma": 1}}, "names a reward 'forma' that does not exist. Did you mean 'format'?"),
        ({"reward_weights": ["a", "b"]}, "`algorithm.gd2po.reward_weights[0]` must be a number"),
        ({"reward_weights": [1, {**RAMP, "steps": 1}]}, "`algorithm.gd2po.reward_weights[1]`: `steps` must be"),
        ({"reward_weights": [1, {**RAMP, "stop": 1}]}, "`algorithm.gd2po.reward_weights[1]` has no key 'stop'"),
        ({"reward_conditions": [{**BRIEF, "on": "corectness"}]}, "got 'corectness'. Did you mean 'correctness'?"),
        ({"reward_conditions": [{**BRIEF, "on": "format"}]}, "`algorithm.gd2po.reward_conditions[0]` must hold a"),
        ({"log_folder": 7}, "`algorithm.gd2po.log_folder` must be a folder: got 7"),
        ({"reward_families": ["x"]}, "`algorithm.gd2po.reward_families` must be a mapping from rewards to families"),
        ({"reward_families": {"forma": "x"}}, "names a reward 'forma' that does not exist. Did you mean 'format'?"),
        (
            {"reward_families": {"format": ["x", "y"]}},
            "since a reward is of one family: got ['x', 'y'] for 'format'",
        ),
        ({"reward_families": {"format": "correctness"}}, "has a family 'correctness', and a reward of that name"),
        ({"reward_keys": "correctness"}, "`algorithm.gd2po.reward_keys` must be a list of names: got 'correctness'"),
        ({"reward_keys": ["a", "a"]}, "`algorithm.gd2po.reward_keys` must be different from each other"),
        ({"reward_keys": []}, "`algorithm.gd2po.reward_keys` must list the components of the reward"),
    ],
)
def test_a_mistake_names_its_key_and_the_nearest_one(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**section)
    assert message in str(caught.value)


def test_weights_that_move_are_checked_at_their_extremes() -> None:
    assert settings(reward_weights=[1, RAMP]).weights_move
    with pytest.raises(ConfigError, match=r"`algorithm.gd2po`: `reward_weights`"):
        settings(method="saw", reward_minima=[0.0, 0.0], reward_weights=[1, RAMP])
    settings(method="saw", reward_minima=[0.0, 0.0], reward_weights=[1, {**RAMP, "end": 0.5}])


def test_a_schedule_that_ends_before_the_run_is_refused_where_the_steps_are_known() -> None:
    found = settings(reward_weights=[1, RAMP])
    found.require_steps(None)
    found.require_steps(10)
    with pytest.raises(ConfigError, match=r"`algorithm.gd2po.reward_weights\[1\]` ends at step 10.* has 11 steps"):
        found.require_steps(11)
    settings().require_steps(11)


def test_conditions_reach_the_session() -> None:
    rewards = torch.tensor([[1.0, 0.9], [0.0, 0.8]])
    session = settings(reward_conditions=[{**BRIEF, "otherwise": -1}]).session()
    assert session.conditioned(rewards)[:, 1].tolist() == pytest.approx([0.9, -1.0])
    assert settings(reward_conditions=[]).session().conditioned(rewards) is rewards


def test_settings_are_equal_where_their_sections_are() -> None:
    assert settings(filtering="hard", log_folder="x") == settings(log_folder="x", filtering="hard")
    assert settings(filtering="hard") != settings(filtering="snr")
    assert settings(method="gdpo") != settings(method="grpo")
    assert settings(reward_weights=[1, RAMP]) == settings(reward_weights=[1.0, dict(RAMP)])
    assert settings(reward_weights=[1, RAMP]) != settings(reward_weights=[1, 1])
    subset = {**BRIEF, "subset": True}
    assert settings(reward_conditions=[subset]) == settings(reward_conditions=[dict(subset)])


def test_groups_are_numbered_in_order_of_appearance() -> None:
    assert number_groups(["b", "a", "b", ("c", 1)]).tolist() == [0, 1, 0, 2]


def test_bounds_that_leave_out_0_and_1_are_accepted() -> None:
    bounds = [[2.0, 5.0], [-9.0, -3.0]]
    assert settings(method="sa_mrpo", reward_bounds=bounds).setting.options["reward_bounds"] == bounds


def test_a_setting_that_is_not_there_counts_as_none() -> None:
    rules = {"scale": ((None, "group"), "has no effect")}
    refuse({}, rules)
    with pytest.raises(ConfigError, match="`scale` has no effect. It is 'batch'"):
        refuse({"scale": "batch"}, rules)
