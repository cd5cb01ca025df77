"""A method with its options: labels, options that are missing or mistyped, and what it warns of."""

from __future__ import annotations

import pytest
import torch

from gd2po import METHODS, Setting, advantages
from gd2po.core.setting import all_labels, default_method
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


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"method": "gdop"}, ConfigError, "`here`: `method` must be one of .*: got 'gdop'. Did you mean 'gdpo'?"),
        ({"method": "gd2po", "filterin": "hard"}, ConfigError, "no option 'filterin' of gd2po. Did you mean 'filt"),
        ({"method": "gdpo", "filtering": "hard"}, ConfigError, "no option 'filtering' of gdpo. It is one of gd2po"),
        ({"method": "gdpo", "whitening": "token"}, InvalidInputError, "`here`: `whitening` must be one of 'rollouts'"),
        ({"min_retained": 2}, InvalidInputError, r"`here`: `min_retained` must be a number in \[0, 1\]: got 2"),
        ({"query_reweighting": "yes"}, InvalidInputError, "`query_reweighting` must be true or false: got 'yes'"),
        ({"snr_threshold": "high"}, InvalidInputError, r"must be a number in \[0, 1\] or 'auto': got 'high'"),
    ],
)
def test_a_mistyped_method_or_option_gets_the_nearest_name(
    values: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Setting.of(values, "here")


def test_a_method_by_name_is_its_function() -> None:
    torch.manual_seed(0)
    rewards, group_ids = torch.randn(12, 3), torch.arange(3).repeat_interleave(4)
    given = {"reward_minima": [-9.0] * 3, "reward_bounds": [[-9.0, 9.0]] * 3}
    for name, method in METHODS.items():
        options = {"whitening": "rollouts", **{need: given[need] for need in method.needs}}
        expected = method.function(rewards, group_ids, **options)
        assert torch.equal(advantages(rewards, group_ids, method=name, **options).advantages, expected.advantages)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"method": "grpo"}, "grpo"),
        ({}, "consensus"),
        ({"whitening": "tokens"}, "consensus whitening=tokens"),
        ({"method": "gd2po"}, "gd2po-snr 0.3"),
        ({"snr_threshold": 0.5, "whitening": "tokens"}, "gd2po-snr 0.5 whitening=tokens"),
        ({"snr_threshold": "auto"}, "gd2po-auto"),
        ({"filtering": "hard"}, "gd2po-hard"),
        ({"filtering": "hard", "conflict_pairs": "correlated"}, "gd2po-gated"),
        ({"filtering": "hard", "query_reweighting": False}, "gd2po-hard query_reweighting=False"),
    ],
)
def test_one_setting_has_one_label(values: dict[str, object], label: str) -> None:
    assert Setting.of(values, "here").label == label


def test_every_label_names_a_setting_of_that_variant() -> None:
    for label, (method, _) in all_labels().items():
        if method.needs:
            with pytest.raises(ConfigError, match=f"`here`: {method.name} needs `{method.needs[0]}`: \\(K, ?2?\\)"):
                Setting.named(label, "here")
            continue
        setting = Setting.named(label, "here")
        assert setting.label == label or setting.label.startswith(label) or label == "gd2po"


def test_a_run_that_names_no_method_has_consensus_unless_only_gd2po_has_the_option() -> None:
    assert default_method([]) == default_method(["kappa", "whitening"]) == "consensus"
    assert default_method(["filtering"]) == default_method(["whitening", "snr_threshold"]) == "gd2po"


def test_a_label_shows_what_differs_from_the_defaults_by_value() -> None:
    default = METHODS["consensus"].options["kappa"].default
    assert Setting.of({"kappa": float(str(default))}, "here").label == "consensus"
    assert Setting.of({"kappa": 2 * default}, "here").label == "consensus kappa=2"
    assert Setting.of({"method": "dara", "variant": "symmetric", "max_multiplier": 3.0}, "here").label == (
        "dara-symmetric max_multiplier=3"
    )
