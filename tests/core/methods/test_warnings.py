"""What methods that add the rewards up first say of missing rewards."""

from __future__ import annotations

import math

import pytest
import torch

from gd2po import METHODS, Setting

GROUP_IDS = torch.zeros(3, dtype=torch.int64)
REWARDS = torch.tensor([[-3.0, 1.0, math.nan], [math.nan, 0.0, 1.0], [-1.0, math.nan, 0.0]])
NAMES = ["penalty", "correct", "bonus"]


@pytest.mark.parametrize("method", ["grpo", "dr_grpo", "rloo", "reinforce_plus_plus_baseline"])
def test_a_missing_reward_is_praise_where_it_can_be_negative(method: str) -> None:
    setting = Setting.named(method, "here")
    (said,) = setting.warnings(REWARDS, GROUP_IDS, reward_names=NAMES)
    assert said.startswith("penalty does not apply to some rollouts, which counts as 0 in the sum")
    # A negative weight turns the others into penalties; a weight of 0 makes one nobody's business.
    said_of = setting.warnings(REWARDS, GROUP_IDS, reward_weights=[0.0, -1.0, 1.0], reward_names=NAMES)
    assert [sentence.split()[0] for sentence in said_of] == ["correct"]
    assert setting.warnings(REWARDS.nan_to_num(), GROUP_IDS) == []


def test_the_same_sentence_comes_back_for_every_batch_of_its_kind() -> None:
    needs = {"reward_minima": [-9.0] * 3, "reward_bounds": [[-9.0, 9.0]] * 3}
    for name, method in METHODS.items():
        setting = Setting.of({"method": name, **{need: needs[need] for need in method.needs}}, "here")
        assert setting.warnings(REWARDS, GROUP_IDS) == setting.warnings(REWARDS.flip(0), GROUP_IDS), name
