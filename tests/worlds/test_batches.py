"""Many batches at once give what each gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gd2po import AdvantageResult
from gd2po.core import METHODS, Method, Setting, gdpo_advantages
from gd2po.core.setting import all_labels
from gd2po.core.stack import Stack
from gd2po.worlds.batches import advantages_of_batches

BATCHES, GROUPS, GROUP_SIZE, REWARDS = 7, 4, 6, 3
BLOCKS = torch.arange(GROUPS).repeat_interleave(GROUP_SIZE)
UNEQUAL = torch.tensor([5, 5, 2, 9, 2, 5, 5, 9, 2, 5, 2, 2, 5, 9, 7, 2, 5, 5, 2, 9, 9, 2, 5, 2])
ARRAYS = {"reward_minima": [-100.0] * REWARDS, "reward_bounds": [[-100.0, 100.0]] * REWARDS}
"""For methods that need to know the range of each reward."""
FAMILIES = ["judge", "brief", "judge"]


def rewards(missing: float = 0.0) -> Tensor:
    numbers = torch.Generator().manual_seed(0)
    drawn = torch.randn(BATCHES, GROUPS * GROUP_SIZE, REWARDS, generator=numbers, dtype=torch.float64)
    drawn *= torch.tensor([1.0, 2.0, 5.0, 0.1, 1.0, 1.0, 1.0])[:, None, None]  # batches of different spread
    drawn[3, :GROUP_SIZE] = 1.0  # a group without signal
    drawn[4, :, 2] = drawn[4, :, 2].round()
    drawn[5, :, 1] = drawn[5, :, 0] + drawn[5, :, 1] / 2  # rewards that agree
    drawn[6] = 3.0  # a batch without signal
    return drawn.masked_fill(torch.rand(drawn.shape, generator=numbers) < missing, torch.nan)


def setting_of(label: str, **options: Any) -> Setting:
    method, fixed = all_labels()[label]
    arrays = {name: ARRAYS[name] for name in method.options if name in ARRAYS}
    return Setting.of({"method": method.name, **arrays, **fixed, **options}, "test")


def assert_together_is_alone(
    setting: Setting,
    batches: Tensor,
    group_ids: Tensor = BLOCKS,
    weights: Sequence[float] | None = None,
    families: Sequence[str] | None = None,
) -> None:
    alone = [
        setting.advantages(batch, group_ids, reward_weights=weights, reward_families=families).loss_advantages
        for batch in batches
    ]
    together = advantages_of_batches(setting, batches, group_ids, weights, families)
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, (1.0, 0.5, -2.0)])
@pytest.mark.parametrize("group_ids", [BLOCKS, UNEQUAL], ids=["blocks", "unequal"])
@pytest.mark.parametrize("label", all_labels())
def test_batches_together_equal_batches_alone(
    label: str, group_ids: Tensor, weights: tuple[float, ...] | None, missing: float
) -> None:
    if label.startswith("saw") and weights is not None:
        weights = (1.0, 0.5, 2.0)  # it knows no least score of a negated reward
    assert_together_is_alone(setting_of(label), rewards(missing), group_ids, weights)


@pytest.mark.parametrize("label", all_labels())
def test_batches_together_equal_batches_alone_without_whitening(label: str) -> None:
    assert_together_is_alone(setting_of(label, whitening="none"), rewards())


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("standardisation", ["zscore", "rank", "rank_partners"])
@pytest.mark.parametrize(
    ("label", "options"),
    [
        ("gd2po-families", {}),
        ("gd2po-gated", {"scale_rewards": False, "min_correlation": 0.05}),
        ("gd2po-auto", {"conflict_pairs": "correlated", "query_weight_in": "loss"}),
        ("gd2po-auto", {"conflict_pairs": "families"}),
        ("consensus", {}),
        ("consensus", {"combination": "uncertainty"}),
        ("consensus-correlated", {"combination": "minimum", "min_correlation": 0.0, "drop_conflicts": "all"}),
    ],
)
def test_families_and_ranks_of_batches_together_are_those_of_batches_alone(
    label: str, options: dict[str, Any], standardisation: str, missing: float
) -> None:
    setting = setting_of(label, standardisation=standardisation, **options)
    families = FAMILIES if setting.uses_families else None
    assert_together_is_alone(setting, rewards(missing), BLOCKS, (1.0, 0.5, 2.0), families)


def test_every_method_of_the_table_computes_all_batches_in_one_call() -> None:
    assert all(method.stackable for method in METHODS.values())


def over_the_batch(rewards: Tensor, group_ids: Tensor, *, reward_weights: Any, token_counts: Any) -> AdvantageResult:
    """A method that takes a mean over the batch by itself."""
    assert not isinstance(rewards, Stack)
    return gdpo_advantages(rewards * rewards.mean().sign(), group_ids)


def test_a_method_that_is_not_stackable_is_called_batch_by_batch() -> None:
    method = Method("own", "title", "source", over_the_batch)
    assert_together_is_alone(Setting(method, {}), rewards())


def test_whitening_by_tokens_asks_for_the_counts_that_worlds_do_not_have() -> None:
    with pytest.raises(ValueError, match="`token_counts` is needed"):
        advantages_of_batches(setting_of("gdpo", whitening="tokens"), rewards(), BLOCKS)
