"""Agreement over batches: ranks, weights, missing rewards, and a state that goes out and in to the last bit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import Setting, consensus_advantages, gd2po_advantages
from gd2po.core.agreement import MEMORY, Agreement
from gd2po.errors import InvalidInputError

GROUP_IDS = torch.arange(6).repeat_interleave(8)
QUALITY = torch.rand(48, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
NOISE = torch.randn(48, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
JUDGES = torch.stack([QUALITY + 0.1 * NOISE[:, 0], QUALITY + 0.1 * NOISE[:, 1], 0.5 * NOISE[:, 2] - QUALITY], 1)


def test_one_fooled_score_does_not_hide_that_two_judges_agree() -> None:
    fooled = JUDGES.clone()
    fooled[::8, 0] += 40
    by_rank = Agreement.of(fooled, GROUP_IDS).correlation[0, 1]
    zscores = gd2po_advantages(fooled, GROUP_IDS).reward_advantages
    by_score = torch.corrcoef(zscores[:, :2].T)[0, 1]
    assert by_rank > by_score + 0.1


@given(batch=batches())
def test_it_is_the_correlation_of_the_ranks_over_rollouts_that_have_both(batch: Batch) -> None:
    ranks = gd2po_advantages(batch.rewards, batch.group_ids, standardisation="rank").reward_advantages.double()
    signs = torch.tensor(batch.weights or [1.0] * ranks.shape[1]).sign().double()
    ranks, found = ranks * signs, Agreement.of(batch.rewards, batch.group_ids, reward_weights=batch.weights).correlation
    for j in range(ranks.shape[1]):
        for k in range(ranks.shape[1]):
            both = ~(batch.rewards[:, j].isnan() | batch.rewards[:, k].isnan())
            one, other = ranks[both, j], ranks[both, k]
            power = math.sqrt(float(one @ one) * float(other @ other))
            expected = float(one @ other) / power if power else math.nan
            assert float(found[j, k]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_batches_fade_and_the_state_comes_back_to_the_last_bit() -> None:
    first, second = Agreement.of(JUDGES, GROUP_IDS), Agreement.of(JUDGES.flip(0), GROUP_IDS)
    assert first.after(None) is first
    both = second.after(first)
    assert torch.equal(both.products, MEMORY * first.products + second.products)
    back = Agreement.from_plain(json.loads(json.dumps(both.plain())), 3)
    assert torch.equal(second.after(back).correlation, second.after(both).correlation)


THREE, TWO = (Agreement.of(JUDGES[:, :size], GROUP_IDS).plain() for size in (3, 2))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"products": "x", "powers": "x"},
        [1],
        THREE,
        {"products": TWO["products"], "powers": THREE["powers"]},
        {"products": THREE["products"], "powers": TWO["powers"]},
    ],
)
def test_a_state_of_something_else_is_refused(values: Any) -> None:
    with pytest.raises(InvalidInputError, match="`values` must be"):
        Agreement.from_plain(values, 2)


def test_methods_find_families_by_what_was_kept_and_not_by_the_batch() -> None:
    kept = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]])
    noise = torch.randn(48, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    found = consensus_advantages(noise, GROUP_IDS, partners="correlated", correlations=kept)
    declared = consensus_advantages(noise, GROUP_IDS, reward_families=["x", "x", "y"])
    assert torch.equal(found.advantages, declared.advantages)
    gated = gd2po_advantages(noise, GROUP_IDS, filtering="hard", conflict_pairs="correlated", correlations=kept)
    families = gd2po_advantages(
        noise, GROUP_IDS, filtering="hard", conflict_pairs="families", reward_families=["x", "x", "y"]
    )
    assert torch.equal(gated.advantages, families.advantages)
    undefined = torch.full((3, 3), torch.nan)
    nobody = consensus_advantages(noise, GROUP_IDS, partners="correlated", correlations=undefined)
    assert nobody.keep_mask.all()


@pytest.mark.parametrize("correlations", [torch.ones(2, 2), [[1.0, 2.0, 0.0]] * 3, [0.5] * 3])
def test_correlations_that_are_none_are_refused(correlations: Any) -> None:
    with pytest.raises(InvalidInputError, match="`correlations` needs one number in"):
        consensus_advantages(JUDGES, GROUP_IDS, correlations=correlations)


def test_a_setting_that_finds_no_families_is_not_told_the_correlations() -> None:
    nonsense = torch.full((3, 3), 7.0)
    for label, families, finds in (
        ("gdpo", None, False),
        ("gd2po-hard", None, False),
        ("gd2po-families", None, False),
        ("consensus", ["x", "x", "y"], False),
        ("consensus", None, False),
        ("consensus-correlated", ["x", "x", "y"], True),
        ("gd2po-gated", ["x", "x", "y"], True),
    ):
        setting = Setting.named(label, "here")
        assert setting.finds_families(families) == finds, label
        if not finds:
            setting.advantages(JUDGES, GROUP_IDS, reward_families=families, correlations=nonsense)
