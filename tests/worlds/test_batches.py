"""Many batches at once give what each gives alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gd2po.core import METHODS, Setting
from gd2po.core.setting import all_labels
from gd2po.worlds.batches import advantages_of_batches

BATCHES, GROUPS, GROUP_SIZE = 5, 4, 6
GROUP_IDS = torch.arange(GROUPS).repeat_interleave(GROUP_SIZE)
ARRAYS = {"reward_minima": [-100.0] * 3, "reward_bounds": [[-100.0, 100.0]] * 3}
"""For methods that need to know the range of each reward."""


def rewards(missing: float = 0.0) -> Tensor:
    numbers = torch.Generator().manual_seed(0)
    drawn = torch.randn(BATCHES, GROUPS * GROUP_SIZE, 3, generator=numbers, dtype=torch.float64)
    drawn *= torch.tensor([1.0, 2.0, 5.0, 0.1, 1.0])[:, None, None]  # batches of different spread
    drawn[3, :GROUP_SIZE] = 1.0  # a group without signal
    drawn[4, :, 2] = drawn[4, :, 2].round()
    return drawn.masked_fill(torch.rand(drawn.shape, generator=numbers) < missing, torch.nan)


def setting_of(label: str, **options: str) -> Setting:
    method, fixed = all_labels()[label]
    arrays = {name: ARRAYS[name] for name in method.options if name in ARRAYS}
    return Setting.of({"method": method.name, **arrays, **fixed, **options}, "test")


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, (1.0, 0.5, -2.0)])
@pytest.mark.parametrize("label", all_labels())
def test_batches_together_equal_batches_alone(label: str, weights: tuple[float, ...] | None, missing: float) -> None:
    if label.startswith("saw") and weights is not None:
        weights = (1.0, 0.5, 2.0)  # it knows no least score of a negated reward
    setting, batches = setting_of(label), rewards(missing)
    alone = [setting.advantages(batch, GROUP_IDS, reward_weights=weights).advantages for batch in batches]
    together = advantages_of_batches(setting, batches, GROUP_IDS, weights)
    assert torch.allclose(together, torch.stack(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("label", [label for label in all_labels() if "whitening" in setting_of(label).method.options])
def test_batches_together_equal_batches_alone_without_whitening(label: str) -> None:
    setting = setting_of(label, whitening="none")
    alone = [setting.advantages(batch, GROUP_IDS).advantages for batch in rewards()]
    assert torch.allclose(advantages_of_batches(setting, rewards(), GROUP_IDS), torch.stack(alone), rtol=0, atol=1e-12)


def test_methods_without_statistics_over_the_batch_share_one_call() -> None:
    assert setting_of("gdpo").inside_groups
    assert setting_of("gd2po-hard").inside_groups
    assert not setting_of("gd2po-auto").inside_groups
    assert not setting_of("gd2po-gated").inside_groups
    assert Setting.of({"filtering": "hard", "snr_threshold": "auto"}, "test").inside_groups  # nothing is searched
    assert METHODS["grpo"].inside_groups({})


def test_whitening_by_tokens_asks_for_the_counts_that_worlds_do_not_have() -> None:
    with pytest.raises(ValueError, match="`token_counts` is needed"):
        advantages_of_batches(setting_of("gdpo", whitening="tokens"), rewards(), GROUP_IDS)
