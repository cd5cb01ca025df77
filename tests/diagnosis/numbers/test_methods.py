"""What a diagnosis says of a setting is what the trainer says of it, and what its voices and pull come from."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gd2po import AdvantageResult, diagnose_batch, gd2po_advantages
from gd2po.core import METHODS, BatchDiagnostics, Setting
from gd2po.core.methods.grpo import grpo_components
from gd2po.core.setting import all_labels
from gd2po.core.statistics import STATISTICS, pair_indices
from gd2po.diagnosis import Diagnosis, RewardLog, diagnose
from gd2po.diagnosis.model import MethodNumbers
from gd2po.diagnosis.numbers.methods import METHOD_STATISTICS, compared_settings, evaluate_settings, variance_shares
from gd2po.diagnosis.numbers.sample import Step

NAMES = ["binary", "tenths", "sparse", "nothing"]
WEIGHTS = [1.0, 0.5, -0.25, 0.0]
NEEDS = {
    "reward_minima": [-10.0] * 4,
    "reward_bounds": [[-10.0, 10.0]] * 4,
}
"""Options that some methods cannot do without."""


def settings_to_try() -> list[Setting]:
    """Every method and variant with every whitening and scale that it has."""
    settings = []
    for method, fixed in all_labels().values():
        choices = {
            name: values
            for name, values in (("whitening", ["none", "rollouts", "tokens"]), ("scale_rewards", [True, False]))
            if name in method.options
        }
        needs = {name: value for name, value in NEEDS.items() if name in method.options}
        for chosen in itertools.product(*choices.values()):
            options = {"method": method.name, **needs, **fixed, **dict(zip(choices, chosen, strict=True))}
            settings.append(Setting.of(options, "test"))
    return settings


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rewards (N, 4) of several kinds with gaps, groups and token counts of one step."""
    random = np.random.default_rng(3)
    base = random.normal(size=(20, 5))
    rewards = np.stack(
        [
            (base + random.normal(size=base.shape) > 0).astype(float),
            np.round(base + random.normal(size=base.shape), 1),
            np.where(random.random(base.shape) < 0.3, np.nan, random.normal(size=base.shape)),
            random.normal(size=base.shape),
        ],
        axis=2,
    )
    rewards[0, :, :3] = np.nan  # only the reward without a weight applies
    rewards[1, :, :3] = 1.0
    rows = torch.from_numpy(rewards.reshape(-1, 4)).float()
    return rows, torch.arange(20).repeat_interleave(5), torch.from_numpy(random.integers(1, 60, size=100))


@pytest.fixture
def log_of(batch: Any, write_log: Any) -> Path:
    rewards, group_ids, token_counts = batch
    columns = {"step": [7] * len(rewards), "group": group_ids.tolist(), "completion_tokens": token_counts.tolist()}
    columns |= {f"reward/{name}": column.tolist() for name, column in zip(NAMES, rewards.T, strict=True)}
    return write_log(columns)


def optional(value: torch.Tensor) -> float | None:
    return None if value.isnan() else pytest.approx(float(value), abs=1e-9)


def assert_the_row_is_the_trainers(row: MethodNumbers, trainers: BatchDiagnostics) -> None:
    shown = {"cancelled_group_rate": "cancelled_groups"}
    for name in METHOD_STATISTICS:
        expected, actual = getattr(trainers, name), getattr(row, shown.get(name, name))
        if STATISTICS[name].per == "batch":
            assert actual == optional(expected), name
        else:
            assert actual == {reward: optional(value) for reward, value in zip(NAMES, expected, strict=True)}, name


def assert_the_rest_is_the_trainers(diagnosis: Diagnosis, trainers: BatchDiagnostics) -> None:
    assert diagnosis.overall.cancellation.value == optional(trainers.cancellation)
    assert diagnosis.overall.zero_signal_groups == optional(trainers.zero_signal_group_rate)
    for pair, (j, k) in zip(diagnosis.pairs, pair_indices(4).T.tolist(), strict=True):
        assert pair.correlation.value == optional(trainers.correlation[j, k])
        assert pair.conflict_rate.value == optional(trainers.pairwise_conflict_rate[j, k])


def assert_the_explorer_is_the_trainers(diagnosis: Diagnosis, trainers: BatchDiagnostics) -> None:
    at = round(100 * diagnosis.explorer.marked_threshold)
    assert diagnosis.overall.conflict_rate.value == optional(trainers.conflict_rate)
    assert diagnosis.overall.snr_mean == optional(trainers.snr_mean)
    assert diagnosis.explorer.keep_rate[at] == optional(1 - trainers.filtered_rate)
    for k, name in enumerate(NAMES):
        assert diagnosis.explorer.retained[name][at] == optional(trainers.retained[k])
        assert diagnosis.explorer.retained_negative[name][at] == optional(trainers.retained_negative[k])


@pytest.mark.parametrize("setting", settings_to_try(), ids=lambda setting: setting.label)
def test_a_log_of_one_step_gets_the_trainers_numbers(batch: Any, log_of: Path, setting: Setting) -> None:
    rewards, group_ids, token_counts = batch
    # saw has no meaning for a negative weight.
    weights = [abs(weight) for weight in WEIGHTS] if setting.method.name == "saw" else WEIGHTS
    result = setting.advantages(rewards, group_ids, reward_weights=weights, token_counts=token_counts)
    trainers = diagnose_batch(rewards, group_ids, result, reward_weights=weights)
    diagnosis = diagnose(RewardLog(log_of), weights, setting=setting)
    (row,) = [method for method in diagnosis.methods if method.is_run]
    assert row.name == setting.label
    assert_the_row_is_the_trainers(row, trainers)
    assert_the_pull_is_that_of_the_result(row, batch, setting, result)
    assert_the_rest_is_the_trainers(diagnosis, trainers)
    if diagnosis.explorer.marked_is_run:
        assert_the_explorer_is_the_trainers(diagnosis, trainers)


def assert_the_pull_is_that_of_the_result(
    row: MethodNumbers, batch: Any, setting: Setting, result: AdvantageResult
) -> None:
    """The effective sample and the voices, by their definitions in numpy."""
    rewards, group_ids, _ = batch
    advantages, kept = result.advantages.double().numpy(), result.keep_mask.numpy()
    effective = np.abs(advantages).sum() ** 2 / (advantages**2).sum()
    assert row.effective_sample_share == pytest.approx(effective / int(result.present_mask.sum()), abs=1e-9)
    components = result.components
    if setting.method.name == "grpo":
        scale = setting.resolved["scale_rewards"]
        components = grpo_components(rewards, group_ids, reward_weights=WEIGHTS, scale_rewards=scale)
    if components is None:
        assert set(row.variance_share.values()) == {None}
        return
    parts = components.double().numpy()[kept]
    covariances = [np.cov(part, advantages[kept])[0, 1] for part in parts.T]
    assert list(row.variance_share.values()) == pytest.approx(np.array(covariances) / sum(covariances), abs=1e-9)
    assert sum(row.variance_share.values()) == pytest.approx(1)


def test_a_step_is_one_batch_whatever_it_is_read_with(batch: Any) -> None:
    # Whitening and the adaptive threshold look at a whole batch, so two steps are not one of twice the size.
    rewards, group_ids, _ = batch
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    halves = [rewards[:50], rewards[50:]]
    steps = [Step(place, half, group_ids[:50], None) for place, half in enumerate(halves)]
    auto = Setting.named("gd2po-auto", "test")
    results = [auto.advantages(step.rewards, step.group_ids, reward_weights=weights) for step in steps]
    row = next(method for method in evaluate_settings(steps, NAMES, WEIGHTS, auto).numbers if method.is_run)
    kept = sum(int(result.keep_mask.sum()) for result in results)
    present = sum(int(result.present_mask.sum()) for result in results)
    assert row.filtered_rate == pytest.approx(1 - kept / present)
    thresholds = [result.snr_threshold for result in results]
    assert row.auto_thresholds == pytest.approx((min(thresholds), np.mean(thresholds), max(thresholds)))
    squares = [
        result.advantages.double().abs().sum() ** 2 / result.advantages.double().square().sum() for result in results
    ]
    assert row.effective_sample_share == pytest.approx(float(sum(squares)) / present)


def test_the_voices_of_steps_count_by_their_rollouts() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = [
        Step(0, torch.randn(40, 2, generator=generator) * torch.tensor([1.0, 3.0]), torch.arange(10).repeat(4), None),
        Step(1, torch.randn(80, 2, generator=generator), torch.arange(20).repeat(4), None),
        Step(2, torch.ones(400, 2), torch.arange(100).repeat(4), None),  # says nothing of whose the advantage is
    ]
    grpo = next(row for row in evaluate_settings(steps, ["a", "b"], [1, 1], None).numbers if row.name == "grpo")
    parts = [
        variance_shares(components, components.sum(1))
        for components in (grpo_components(step.rewards.double(), step.group_ids) for step in steps[:2])
    ]
    expected = (40 * parts[0] + 80 * parts[1]) / 120
    assert list(grpo.variance_share.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_all_methods_and_variants_are_compared_once_and_the_run() -> None:
    labels = [setting.label for setting in compared_settings(None)]
    assert len(labels) == len(set(labels))
    assert {"grpo", "gdpo", "gd2po-snr 0.3", "gd2po-hard", "gd2po-auto", "gd2po-gated"} <= set(labels)
    for method in METHODS.values():
        if not method.needs:
            assert Setting.named(method.name, "test").label in labels
    assert not any(label.startswith("saw") for label in labels)
    assert [setting.label for setting in compared_settings(Setting.named("gdpo", "test"))] == labels
    own = Setting.of({"snr_threshold": 0.8}, "test")
    assert [setting.label for setting in compared_settings(own)] == [*labels, "gd2po-snr 0.8"]


def test_whitening_by_tokens_falls_back_on_rollouts_where_lengths_are_unknown(batch: Any) -> None:
    rewards, group_ids, token_counts = batch
    tokens = Setting.of({"snr_threshold": 0.8, "whitening": "tokens"}, "test")
    known = evaluate_settings([Step(0, rewards, group_ids, token_counts)], NAMES, WEIGHTS, tokens)
    assert [row.name for row in known.numbers if row.is_run] == ["gd2po-snr 0.8 whitening=tokens"]
    assert known.notes == []
    unknown = evaluate_settings(
        [Step(0, rewards, group_ids, token_counts), Step(1, rewards, group_ids, None)], NAMES, WEIGHTS, tokens
    )
    assert [row.name for row in unknown.numbers if row.is_run] == ["gd2po-snr 0.8"]
    assert "whitens by rollouts instead" in unknown.notes[0]


def test_a_setting_that_the_log_does_not_suit_is_a_note_and_no_row(batch: Any) -> None:
    rewards, group_ids, _ = batch
    broken = Setting(METHODS["gdpo"], {"whitening": "by ear"})
    found = evaluate_settings([Step(0, rewards, group_ids, None)], NAMES, WEIGHTS, broken)
    assert not any(row.is_run for row in found.numbers)
    assert "by ear" in found.notes[0]


def test_dropping_everything_leaves_no_voice_and_no_sample() -> None:
    step = Step(0, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]), None)
    rows = evaluate_settings([step], ["a", "b"], [1.0, 1.0], None).numbers
    hard = next(row for row in rows if row.name == "gd2po-hard")
    assert not gd2po_advantages(step.rewards, step.group_ids, filtering="hard").keep_mask.any()
    assert (hard.filtered_rate, hard.effective_sample_share) == (1.0, 0.0)
    assert (hard.retained, hard.variance_share) == ({"a": 0.0, "b": 0.0}, {"a": None, "b": None})
    assert math.isclose(hard.cancelled_groups, 1.0)
