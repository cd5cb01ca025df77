"""SAW: its weights by hand, its minima, and what it refuses and warns of."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch

from gd2po import Setting, gdpo_advantages, grpo_advantages, saw_advantages
from gd2po.errors import ConfigError, InvalidInputError, InvalidTypeError

GROUP_IDS = torch.tensor([0, 0, 1, 1])
REWARDS = torch.tensor([[0.0, -3.0], [1.0, -1.0], [0.0, -1.0], [1.0, 1.0]], dtype=torch.float64)


def omega(rewards: torch.Tensor = REWARDS, minima: Any = (0.0, -3.0), **options: Any) -> list[float]:
    found = saw_advantages(rewards, GROUP_IDS, reward_minima=minima, **options).multipliers
    assert found is not None
    return found.tolist()


def test_the_weights_are_coefficients_of_variation_that_add_up_to_their_number() -> None:
    first, second = math.sqrt(1 / 3) / 0.5, math.sqrt(8 / 3) / 2
    expected = [2 * first / (first + second), 2 * second / (first + second)]
    assert omega() == pytest.approx(expected, rel=1e-6)
    assert omega(minima=[0.0, -5.0])[0] > omega()[0]


def test_a_reward_stuck_at_one_value_gets_none_and_if_all_are_all_get_1() -> None:
    stuck = REWARDS.clone()
    stuck[:, 0] = 0.3
    assert omega(stuck) == pytest.approx([0.0, 2.0])
    assert omega(torch.full((4, 2), 0.1)) == [1.0, 1.0]


def test_one_rollout_to_which_a_reward_applies_has_no_spread() -> None:
    rare = REWARDS.clone()
    rare[1:, 0] = math.nan
    assert omega(rare) == pytest.approx([0.0, 2.0])


def test_the_modes_are_gdpo_and_grpo_with_the_weights_found() -> None:
    found = omega()
    shared = {"reward_weights": found}
    as_gdpo = saw_advantages(REWARDS, GROUP_IDS, reward_minima=[0, -3]).advantages
    torch.testing.assert_close(as_gdpo, gdpo_advantages(REWARDS, GROUP_IDS, **shared).advantages)
    as_grpo = saw_advantages(REWARDS, GROUP_IDS, reward_minima=[0, -3], mode="grpo").advantages
    torch.testing.assert_close(as_grpo, grpo_advantages(REWARDS, GROUP_IDS, **shared).advantages)
    whitened = saw_advantages(REWARDS, GROUP_IDS, reward_minima=[0, -3], mode="grpo", whitening="rollouts").advantages
    assert float(whitened.std()) == pytest.approx(1)


def test_a_score_below_its_minimum_by_rounding_counts_as_the_minimum() -> None:
    below, exact = REWARDS.clone(), REWARDS.clone()
    below[:, 0] = torch.tensor([-9e-7, -9e-7, -9e-7, 1e-7])
    exact[:, 0] = torch.tensor([0.0, 0.0, 0.0, 1e-7])
    assert omega(below) == pytest.approx(omega(exact), rel=1e-12)
    # In bfloat16, minima of more digits than the scores have are rounding too.
    assert omega(REWARDS.bfloat16() + 6, minima=[6.0, 3.01])[1] > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"reward_minima": [0.0, -2.9]},
            InvalidInputError,
            "row 0 of `rewards`, reward 1, is -3, beyond the -2.9 given",
        ),
        ({"reward_minima": [0.0]}, InvalidInputError, "`reward_minima` needs the least score for every reward"),
        ({"reward_minima": [[0.0, -3.0]]}, InvalidInputError, "expected shape (2,), got (1, 2)"),
        ({"reward_minima": [0.0, -math.inf]}, InvalidInputError, "`reward_minima` needs finite numbers"),
        ({"reward_minima": None}, InvalidTypeError, "`reward_minima` must be a tensor, or numbers"),
        ({"reward_minima": torch.zeros(2) * 1j}, InvalidTypeError, "`reward_minima` needs real numbers"),
        ({"reward_weights": [1.0, -1.0]}, InvalidInputError, "`reward_weights` must be at least 0 for saw"),
        ({"mode": "ppo"}, InvalidInputError, "`mode` must be one of 'gdpo', 'grpo': got 'ppo'"),
        ({"whitening": "batch"}, InvalidInputError, "`whitening` must be one of 'rollouts', 'tokens', 'none'"),
    ],
)
def test_what_it_cannot_use_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"reward_minima": [0.0, -3.0], **options}
    with pytest.raises(error, match=re.escape(message)):
        saw_advantages(REWARDS, GROUP_IDS, **arguments)


def test_what_stands_for_a_reward_of_weight_0_does_not_matter() -> None:
    for ignored in (math.nan, math.inf, 99.0):
        assert omega(minima=[0.0, ignored], reward_weights=[2.0, 0.0]) == pytest.approx([1.0, 0.0])


def test_by_name_it_asks_for_its_minima() -> None:
    with pytest.raises(ConfigError, match=re.escape("`here`: saw needs `reward_minima`: (K,) the least score")):
        Setting.of({"method": "saw"}, "here")


def test_it_says_what_is_stuck_and_that_minima_set_all_weights() -> None:
    stuck = REWARDS.clone()
    stuck[:, 0] = 0.3
    setting = Setting.of({"method": "saw", "reward_minima": [0, -3]}, "here")
    always = "saw: each of `reward_minima` sets the weights of all rewards; give the minima by definition."
    assert setting.warnings(REWARDS, GROUP_IDS) == [always]
    assert setting.warnings(stuck, GROUP_IDS) == [
        "saw: reward 0 is stuck at one value and gets no weight, be it the best or the worst.", always
    ]  # fmt: skip
    stuck[0, 1] = math.nan
    totals = Setting.of({"method": "saw", "reward_minima": [0, -3], "mode": "grpo"}, "here")
    assert "reward 1 does not apply to some rollouts" in totals.warnings(stuck, GROUP_IDS)[-1]
