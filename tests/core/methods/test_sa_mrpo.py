"""SA-MRPO: its weights by hand, its bounds, and what it refuses and warns of."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch

from gd2po import Setting, mo_grpo_advantages, sa_mrpo_advantages
from gd2po.errors import ConfigError, InvalidInputError

GROUP_IDS = torch.tensor([0, 0, 1, 1])
REWARDS = torch.tensor([[0.0, -3.0], [1.0, -1.0], [1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
BOUNDS = [[0.0, 1.0], [-3.0, 3.0]]


def multipliers(rewards: torch.Tensor = REWARDS, bounds: Any = BOUNDS, **options: Any) -> list[float]:
    found = sa_mrpo_advantages(rewards, GROUP_IDS, reward_bounds=bounds, **options).multipliers
    assert found is not None
    return found.tolist()


def test_a_reward_is_shrunk_by_the_share_of_its_range_that_is_left() -> None:
    # Means 3/4 of [0, 1] and -1 of [-3, 3]: a quarter and two thirds are left.
    assert multipliers(gamma=1) == pytest.approx([1 / 4, 2 / 3])
    assert multipliers() == pytest.approx([1 / 2, math.sqrt(2 / 3)])
    assert multipliers(gamma=0) == [1.0, 1.0]
    # A negative weight wants the other end.
    assert multipliers(gamma=1, reward_weights=[-1.0, 2.0]) == pytest.approx([3 / 4, 2 / 3])


def test_a_reward_at_its_best_is_off_and_one_at_its_worst_is_whole() -> None:
    for low, high in ((0.0, 0.7), (-3.0, 0.1), (-0.3, -0.1), (1e3, 1e3 + 0.3)):
        best, worst = torch.full((4, 1), high, dtype=torch.float64), torch.full((4, 1), low, dtype=torch.float64)
        for gamma in (0.25, 0.5, 1.0):
            assert multipliers(best, [[low, high]], gamma=gamma) == [0.0]
            assert multipliers(worst, [[low, high]], gamma=gamma) == pytest.approx([1.0])


def test_a_reward_that_applies_nowhere_has_its_whole_range_left() -> None:
    nowhere = REWARDS.clone()
    nowhere[:, 0] = math.nan
    assert multipliers(nowhere, gamma=1) == pytest.approx([1.0, 2 / 3])
    assert multipliers(nowhere, gamma=1, reward_weights=[-1.0, 1.0]) == pytest.approx([1.0, 2 / 3])


def test_with_gamma_0_it_is_gdpo_with_standard_deviations_of_the_population() -> None:
    combined = mo_grpo_advantages(REWARDS, GROUP_IDS).advantages
    found = sa_mrpo_advantages(REWARDS, GROUP_IDS, reward_bounds=BOUNDS, gamma=0).advantages
    expected = (combined - combined.mean()) / combined.std(correction=0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_bounds": [[0.0, 0.9], [-3, 3]]}, "row 1 of `rewards`, reward 0, is 1, beyond the 0.9 given"),
        ({"reward_bounds": [[0.0, 1.0], [-2.9, 3]]}, "the least score that each reward can give: row 0 of `rewards`"),
        (
            {"reward_bounds": [0.0, 1.0]},
            "needs the least and the largest score for every reward: expected shape (2, 2)",
        ),
        ({"reward_bounds": [[0.0, 1.0], [-3, math.nan]]}, "`reward_bounds` needs finite numbers"),
        ({"reward_bounds": [[0.0, 1.0], [3, -3]]}, "the least score below the largest: got 3 and -3 for reward 1"),
        ({"reward_bounds": [[0.0, 1.0], [-3, -3]]}, "the least score below the largest: got -3 and -3 for reward 1"),
        ({"gamma": -0.5}, "`gamma` must be a finite number of at least 0: got -0.5"),
        ({"gamma": math.inf}, "`gamma` must be a finite number of at least 0: got inf"),
    ],
)
def test_what_it_cannot_use_is_refused(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"reward_bounds": BOUNDS, **options}
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        sa_mrpo_advantages(REWARDS, GROUP_IDS, **arguments)


def test_a_score_out_of_bounds_that_is_missing_elsewhere_is_named_by_its_row() -> None:
    rewards = REWARDS.clone()
    rewards[0, 0] = math.nan
    rewards[2, 0] = 1.5
    with pytest.raises(InvalidInputError, match="row 2 of `rewards`, reward 0, is 1.5"):
        multipliers(rewards)


def test_scores_beyond_a_bound_by_rounding_keep_the_share_in_0_to_1() -> None:
    rewards = torch.full((4, 2), 1 + 5e-7, dtype=torch.float64)
    assert multipliers(rewards, [[0.0, 1.0], [1 + 9e-7, 2.0]], gamma=1) == [0.0, 1.0]
    rewards[1:, 0] = 0.0
    assert multipliers(rewards, [[0.0, 1.0], [1 + 9e-7, 2.0]], gamma=1)[0] == 3 / 4


def test_by_name_it_asks_for_its_bounds_and_says_what_they_are_for() -> None:
    with pytest.raises(ConfigError, match=re.escape("`here`: sa_mrpo needs `reward_bounds`: (K, 2) the least")):
        Setting.of({"method": "sa_mrpo"}, "here")
    (said,) = Setting.of({"method": "sa_mrpo", "reward_bounds": BOUNDS}, "here").warnings(REWARDS, GROUP_IDS)
    assert "bounds by definition" in said
