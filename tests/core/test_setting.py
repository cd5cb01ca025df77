"""A method with its options: labels that name nothing, options that are missing, and what it warns of."""

from __future__ import annotations

import pytest
import torch

from gd2po import Setting
from gd2po.errors import ConfigError, InvalidInputError

REWARDS = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])
GROUP_IDS = torch.zeros(2, dtype=torch.int64)


def test_an_unknown_label_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="`here`: there is no method 'gd2po-hrad'. Did you mean 'gd2po-hard'?"):
        Setting.named("gd2po-hrad", "here")


@pytest.mark.parametrize("given", [{}, {"reward_minima": None}])
def test_a_method_that_needs_an_option_says_which_and_what_it_is(given: dict[str, None]) -> None:
    with pytest.raises(ConfigError, match="`here`: saw needs `reward_minima`: .K,. the least score"):
        Setting.of({"method": "saw", **given}, "here")


def test_what_a_method_needs_is_in_its_label_and_among_its_options() -> None:
    setting = Setting.of({"method": "saw", "reward_minima": [-3, 0], "mode": "grpo"}, "here")
    assert setting.label == "saw-grpo reward_minima=[-3, 0]"
    assert setting.resolved == {"reward_minima": [-3, 0], "mode": "grpo", "whitening": None}
    assert setting.advantages(REWARDS, GROUP_IDS).advantages[1] > 0


def test_warnings_name_the_rewards_or_number_them() -> None:
    setting = Setting.named("dvao", "here")
    numbered = setting.warnings(REWARDS, GROUP_IDS)
    named = setting.warnings(REWARDS, GROUP_IDS, reward_names=["brief", "correct"])
    assert numbered[0].replace("reward 0", "brief") == named[0]
    assert named[0] != numbered[0]
    assert setting.warnings(REWARDS, GROUP_IDS, reward_weights=[0.0, 1.0]) == numbered[1:]


@pytest.mark.parametrize("names", [["brief"], ["brief", "correct", "safe"]])
def test_warnings_want_one_name_per_reward(names: list[str]) -> None:
    with pytest.raises(
        InvalidInputError, match=f"`reward_names` needs one name per reward: expected 2, got {len(names)}"
    ):
        Setting.named("dvao", "here").warnings(REWARDS, GROUP_IDS, reward_names=names)
