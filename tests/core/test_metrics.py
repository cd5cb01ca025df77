"""The names and numbers that trainers log."""

from __future__ import annotations

import math

import pytest
import torch

from gd2po import diagnose_batch, gd2po_advantages
from gd2po.core.metrics import batch_metrics
from gd2po.errors import InvalidInputError


def test_every_number_of_the_diagnostics_gets_one_name() -> None:
    torch.manual_seed(0)
    rewards, group_ids = torch.randn(24, 3), torch.arange(4).repeat_interleave(6)
    diagnostics = diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids))
    metrics = batch_metrics(diagnostics, ["correctness", "format", "length"])
    assert metrics == {
        "conflict/rate": diagnostics.conflict_rate,
        "conflict/filtered_rate": diagnostics.filtered_rate,
        "conflict/keep_ratio_mean": diagnostics.keep_ratio_mean,
        "conflict/snr_mean": diagnostics.snr_mean,
        "conflict/cancellation": diagnostics.cancellation,
        "conflict/zero_signal_group_rate": diagnostics.zero_signal_group_rate,
        "conflict/cancelled_group_rate": diagnostics.cancelled_group_rate,
        "conflict/retained/correctness": diagnostics.retained[0],
        "conflict/retained/format": diagnostics.retained[1],
        "conflict/retained/length": diagnostics.retained[2],
        "conflict/retained_negative/correctness": diagnostics.retained_negative[0],
        "conflict/retained_negative/format": diagnostics.retained_negative[1],
        "conflict/retained_negative/length": diagnostics.retained_negative[2],
        "conflict/alignment/correctness": diagnostics.alignment[0],
        "conflict/alignment/format": diagnostics.alignment[1],
        "conflict/alignment/length": diagnostics.alignment[2],
        "conflict/correlation/correctness/format": diagnostics.correlation[0, 1],
        "conflict/correlation/correctness/length": diagnostics.correlation[0, 2],
        "conflict/correlation/format/length": diagnostics.correlation[1, 2],
        "conflict/pair_rate/correctness/format": diagnostics.pairwise_conflict_rate[0, 1],
        "conflict/pair_rate/correctness/length": diagnostics.pairwise_conflict_rate[0, 2],
        "conflict/pair_rate/format/length": diagnostics.pairwise_conflict_rate[1, 2],
    }
    assert all(isinstance(value, float) for value in metrics.values())


def test_one_reward_has_no_pairs_and_what_is_undefined_is_nan() -> None:
    rewards, group_ids = torch.ones(4, 1), torch.zeros(4, dtype=torch.int64)
    metrics = batch_metrics(diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids)), ["format"])
    assert len(metrics) == 10
    assert math.isnan(metrics["conflict/retained/format"])
    assert metrics["conflict/zero_signal_group_rate"] == 1


def test_every_reward_needs_a_name_of_its_own() -> None:
    rewards, group_ids = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    diagnostics = diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids))
    for names in (["correctness"], ["correctness", "format", "length"]):
        with pytest.raises(InvalidInputError, match=rf"`reward_names`.*expected 2, got {len(names)}"):
            batch_metrics(diagnostics, names)
    with pytest.raises(InvalidInputError, match=r"`reward_names`.*different.*'format', 'format'"):
        batch_metrics(diagnostics, ["format", "format"])
