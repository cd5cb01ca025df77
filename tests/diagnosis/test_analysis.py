"""The numbers of a diagnosis, against the core step by step and against what the logs were constructed to hold."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from log_fixtures import limited_memory
from rich.console import Console

from gd2po import METHODS, gd2po_advantages, gdpo_advantages
from gd2po.core import Setting
from gd2po.core.correlations import correlation
from gd2po.diagnosis import ColumnChoices, Diagnosis, RewardLog, diagnose, print_diagnosis, render_html
from gd2po.diagnosis.analysis import resolve_weights
from gd2po.diagnosis.verdict.limits import SHOWN_PAIRS
from gd2po.errors import ConfigError, DataFormatError, InvalidInputError
from gd2po.logs.rollout_log import RolloutLog
from gd2po.runs.settings import describe_run

WEIGHTS = [1.0, 0.5, -0.25, 0.0]


@pytest.fixture
def awkward_log(make_log: Any) -> Any:
    """Four rewards of different kinds; the last has weight 0, and rewards do not apply here and there."""

    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        base = random.normal(size=(groups, size))
        binary = (base + random.normal(size=(groups, size)) > 0).astype(float)
        tenths = np.round(base + 0.5 * random.normal(size=(groups, size)), 1)
        sparse = np.where(random.random((groups, size)) < 0.3, np.nan, random.normal(size=(groups, size)))
        sparse[0] = np.nan
        binary[1, :-1] = np.nan
        nothing = random.normal(size=(groups, size))
        for column in (binary, tenths, sparse):
            column[2, 0] = np.nan  # only the reward without weight applies there
        return {"binary": binary, "tenths": tenths, "sparse": sparse, "nothing": nothing}

    return make_log(rewards, steps=6, groups=10, group_size=5)


@pytest.fixture
def diagnosed(awkward_log: Any, write_log: Any) -> Diagnosis:
    return diagnose(
        RewardLog(write_log(awkward_log.columns), ColumnChoices(rewards=list(awkward_log.rewards))), WEIGHTS
    )


class Steps:
    """What the core says, one training batch after the other."""

    def __init__(self, log: Any, weights: list[float] = WEIGHTS) -> None:
        self.rewards = torch.from_numpy(np.stack(list(log.rewards.values()), axis=1))
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.steps = [torch.from_numpy(np.flatnonzero(log.steps == step)) for step in np.unique(log.steps)]
        self.groups = torch.from_numpy(log.groups)

    def results(self, method: Any, **options: Any) -> list[Any]:
        options = {"reward_weights": self.weights} | options
        return [method(self.rewards[rows], self.groups[rows], **options) for rows in self.steps]

    @property
    def present(self) -> torch.Tensor:
        return (~self.rewards.isnan() & (self.weights != 0)).any(1)

    @property
    def weighted(self) -> torch.Tensor:
        z = torch.cat([result.reward_advantages for result in self.results(gdpo_advantages)])
        return z.double() * self.weights


def kept_share(signal: torch.Tensor, keep: torch.Tensor) -> list[float]:
    """Share of each column of a signal (N, K) that is kept."""
    return (signal[keep].abs().sum(0) / signal.abs().sum(0)).tolist()


def test_every_threshold_keeps_what_the_core_keeps(diagnosed: Diagnosis, awkward_log: Any) -> None:
    core = Steps(awkward_log)
    for threshold in (0.0, 0.1, 0.33, 0.5, 0.8, 0.97, 1.0):
        results = core.results(gd2po_advantages, snr_threshold=threshold)
        keep = torch.cat([result.keep_mask for result in results])
        at = round(100 * threshold)
        expected, negative = kept_share(core.weighted, keep), kept_share(core.weighted.clamp(max=0), keep)
        for k, name in enumerate(list(awkward_log.rewards)[:3]):
            assert diagnosed.explorer.retained[name][at] == pytest.approx(expected[k], abs=1e-9)
            assert diagnosed.explorer.retained_negative[name][at] == pytest.approx(negative[k], abs=1e-9)
        kept = int(keep.sum()) / int(core.present.sum())
        assert diagnosed.explorer.keep_rate[at] == pytest.approx(kept, abs=1e-12)
    assert diagnosed.explorer.retained["nothing"][0] is None


def test_under_grpo_the_shares_follow_the_scales(write_log: Any) -> None:
    # Two independent rewards, one ten times as large: its share of the variance is 100 / 101.
    random = np.random.default_rng(0)
    small, large = random.normal(size=(2, 8000))
    columns = {"group": np.repeat(np.arange(1000), 8).tolist(), "small": small.tolist(), "large": (10 * large).tolist()}
    diagnosis = diagnose(RewardLog(write_log(columns)))
    grpo, gdpo = (next(row for row in diagnosis.methods if row.name == name) for name in ("grpo", "gdpo"))
    assert grpo.variance_share["large"] == pytest.approx(100 / 101, abs=0.005)
    assert gdpo.variance_share["large"] == pytest.approx(0.5, abs=0.02)


def test_the_rates_and_correlations_are_the_cores_over_the_whole_log(diagnosed: Diagnosis, awkward_log: Any) -> None:
    core = Steps(awkward_log)
    weighted, applies = core.weighted, ~core.rewards.isnan()
    expected = correlation(weighted, applies)
    conflicts = torch.cat([result.conflict_mask for result in core.results(gdpo_advantages)])
    assert diagnosed.overall.conflict_rate.value == pytest.approx(float(conflicts.sum() / core.present.sum()))
    assert diagnosed.overall.cancellation.value == pytest.approx(
        float(1 - weighted.sum(1).abs().sum() / weighted.abs().sum())
    )
    silent = (weighted.reshape(-1, 5, 4) == 0).all(2).all(1)  # all groups have five rollouts
    assert diagnosed.overall.zero_signal_groups == pytest.approx(float(silent.double().mean()))
    names = list(awkward_log.rewards)
    for pair in diagnosed.pairs:
        j, k = (names.index(name) for name in pair.rewards)
        if pair.correlation.value is None:
            assert expected[j, k].isnan()
        else:
            assert pair.correlation.value == pytest.approx(float(expected[j, k]), abs=1e-6)
        opposite = (weighted[:, j] * weighted[:, k] < 0).sum() / core.present.sum()
        assert pair.conflict_rate.value == pytest.approx(float(opposite))


def test_the_numbers_of_a_reward_are_its_own(diagnosed: Diagnosis, awkward_log: Any) -> None:
    values = awkward_log.rewards["sparse"]
    sparse = diagnosed.rewards[2]
    assert sparse.applies == pytest.approx(np.mean(~np.isnan(values)))
    assert sparse.mean == pytest.approx(np.nanmean(values), abs=1e-6)
    assert (sparse.lowest, sparse.highest) == pytest.approx((np.nanmin(values), np.nanmax(values)))
    first, last = values[: 2 * 50], values[-2 * 50 :]  # a quarter of six steps is two
    assert (sparse.first_mean, sparse.last_mean) == pytest.approx((np.nanmean(first), np.nanmean(last)), abs=1e-6)
    grouped = values.reshape(-1, 5)
    enough = [row for row in grouped if (~np.isnan(row)).sum() >= 2]
    assert sparse.spread == pytest.approx(np.mean([np.nanstd(row, ddof=1) for row in enough]), abs=1e-6)
    binary = diagnosed.rewards[0]
    grouped = awkward_log.rewards["binary"].reshape(-1, 5)
    enough = [row for row in grouped if (~np.isnan(row)).sum() >= 2]
    constant = [np.nanmin(row) == np.nanmax(row) for row in enough]
    assert binary.constant_groups.value == pytest.approx(np.mean(constant))
    assert binary.distinct_values == 2
    assert diagnosed.rewards[3].distinct_values is None
    ones = awkward_log.rewards["binary"][-100:]
    assert binary.at_highest_last == pytest.approx(np.nansum(ones == 1) / np.sum(~np.isnan(ones)))
    assert binary.at_lowest == pytest.approx(np.nanmean(np.where(np.isnan(grouped), np.nan, grouped == 0)))


def test_a_sum_based_filter_is_counted_where_it_errs(write_log: Any) -> None:
    columns = {
        "group": [0, 0, 1, 1, 2, 2],
        "x": [1.0, 0.0, 1.0, 1.0, 1.0, 0.0],
        "y": [0.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    }
    overall = diagnose(RewardLog(write_log(columns))).overall
    assert overall.zero_signal_groups == pytest.approx(1 / 3)
    assert overall.zero_sum_groups == pytest.approx(2 / 3)
    assert overall.wrongly_dropped_groups == 1


def test_a_sum_is_one_of_rewards_in_their_own_units(write_log: Any) -> None:
    # Groups 0 and 2 are constant in the sum of the rewards and not of their standardised ones, group 1 the other way.
    columns = {
        "group": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "x": [4.0, 0.0, 2.0, 1.0, 0.0, 0.5, 4.0, 0.0, 2.0],
        "y": [-1.0, 0.0, 1.0, 0.0, 10.0, 5.0, -1.0, 0.0, 1.0],
        "z": [-3.0, 0.0, -3.0, 0.0, 0.0, 0.0, -3.0, 0.0, -3.0],
    }
    overall = diagnose(RewardLog(write_log(columns))).overall
    assert (overall.zero_signal_groups, overall.wrongly_dropped_groups) == (0, 2)
    assert overall.zero_sum_groups == pytest.approx(2 / 3)
    rewards = torch.tensor([columns[name] for name in "xyz"]).T
    signal = gdpo_advantages(rewards, torch.tensor(columns["group"]), whitening="none").signal_mask
    assert signal.tolist() == [True] * 3 + [False] * 3 + [True] * 3


def test_the_histogram_counts_every_conflict_once(diagnosed: Diagnosis, awkward_log: Any) -> None:
    core = Steps(awkward_log)
    conflicts = torch.cat([result.conflict_mask for result in core.results(gdpo_advantages)])
    snr = torch.cat([result.snr for result in core.results(gdpo_advantages)])[conflicts]
    edges = diagnosed.explorer.snr_edges
    assert sum(diagnosed.explorer.snr_counts) == int(conflicts.sum())
    assert diagnosed.explorer.snr_counts == np.histogram(snr.numpy(), bins=edges)[0].tolist()
    assert diagnosed.explorer.largest_conflict_snr == pytest.approx(float(snr.max()), abs=1e-6)
    assert diagnosed.explorer.agreeing == int(core.present.sum() - conflicts.sum())


def test_a_score_on_the_threshold_falls_as_in_the_core(write_log: Any) -> None:
    # Binary, K=2, G=4: mixed signs score 1/2 up to rounding, which the core puts just below the threshold 0.5.
    columns = {"group": [0] * 4, "x": [1.0, 0.0, 0.0, 0.0], "y": [0.0, 1.0, 0.0, 0.0]}
    rewards = torch.tensor([columns["x"], columns["y"]]).T
    diagnosis = diagnose(RewardLog(write_log(columns)))
    for threshold in (0.49, 0.5):
        keep = gd2po_advantages(rewards, torch.zeros(4, dtype=torch.int64), snr_threshold=threshold).keep_mask
        assert diagnosis.explorer.keep_rate[round(100 * threshold)] == pytest.approx(float(keep.double().mean()))
    assert diagnosis.explorer.binary_snr_ceiling == 0.5


def test_rollouts_that_cancel_exactly_are_kept_at_zero_and_no_further(write_log: Any) -> None:
    explorer = diagnose(RewardLog(write_log({"group": [0, 0], "x": [1.0, 0.0], "y": [0.0, 1.0]}))).explorer
    assert explorer.keep_rate[:2] == [1.0, 0.0]


def test_the_recommended_threshold_is_the_largest_that_leaves_enough(
    make_log: Any, write_log: Any, noisy_graders: Any
) -> None:
    explorer = diagnose(RewardLog(write_log(make_log(noisy_graders).columns))).explorer
    at = round(100 * explorer.recommended_threshold)
    sides = [*explorer.retained.values(), *explorer.retained_negative.values()]
    assert min(side[at] for side in sides) >= 0.8 > min(side[at + 2] for side in sides)


@pytest.mark.parametrize("seed", range(6))
def test_the_recommended_threshold_is_the_one_that_auto_takes(
    make_log: Any, write_log: Any, noisy_graders: Any, seed: int
) -> None:
    log = make_log(noisy_graders, steps=1, seed=seed)
    rewards = torch.from_numpy(np.stack(list(log.rewards.values()), axis=1))
    result = gd2po_advantages(rewards, torch.from_numpy(log.groups), snr_threshold="auto")
    assert diagnose(RewardLog(write_log(log.columns))).explorer.recommended_threshold == result.snr_threshold


def test_intervals_are_as_wide_as_a_plain_bootstrap_says(make_log: Any, write_log: Any, trade_off: Any) -> None:
    log = make_log(trade_off, steps=5, groups=20)
    interval = diagnose(RewardLog(write_log(log.columns))).pairs[0].correlation
    z = Steps(log, [1.0, 1.0]).weighted.numpy().reshape(-1, 8, 2)
    random = np.random.default_rng(1)
    draws = []
    for _ in range(1000):
        sample = z[random.integers(0, len(z), len(z))].reshape(-1, 2)
        draws.append((sample[:, 0] * sample[:, 1]).sum() / math.sqrt((sample**2).sum(0).prod()))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.02)


def test_blocks_of_groups_give_the_same_intervals(
    make_log: Any, write_log: Any, trade_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(make_log(trade_off, steps=20, groups=64).columns)
    exact = diagnose(RewardLog(path)).pairs[0].correlation
    monkeypatch.setattr("gd2po.diagnosis.numbers.sums.BLOCKS", 200)
    blocked = diagnose(RewardLog(path)).pairs[0].correlation
    assert blocked.value == pytest.approx(exact.value)
    assert blocked.high - blocked.low == pytest.approx(exact.high - exact.low, rel=0.2)


def test_too_few_groups_have_no_interval(write_log: Any, small_table: Any) -> None:
    diagnosis = diagnose(RewardLog(write_log(small_table)))
    assert diagnosis.overall.conflict_rate.low is None
    assert all(finding.sureness is None for finding in diagnosis.verdict.findings)


def test_the_course_of_many_steps_is_put_together(
    make_log: Any, write_log: Any, unrelated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gd2po.diagnosis.sections.MOST_POINTS", 20)
    log = make_log(unrelated, steps=45, groups=2, group_size=4)
    diagnosis = diagnose(RewardLog(write_log({**log.columns, "completion_tokens": [20] * len(log.steps)})))
    course = diagnosis.course
    assert len(course.first_step) == 20
    assert (course.first_step[0], course.last_step[-1]) == (1, 45)
    assert sum(course.rollouts) == 360
    mean = np.average(course.mean["a"], weights=course.rollouts)
    assert mean == pytest.approx(diagnosis.rewards[0].mean, abs=1e-9)
    assert course.length == [20.0] * 20


def test_steps_in_disorder_give_the_same_diagnosis(make_log: Any, write_log: Any, trade_off: Any) -> None:
    columns = make_log(trade_off, steps=5, groups=8).columns
    shuffled = np.random.default_rng(0).permutation(len(columns["step"]))
    one = diagnose(RewardLog(write_log(columns)))
    other = diagnose(RewardLog(write_log({name: [cells[i] for i in shuffled] for name, cells in columns.items()})))
    assert other.pairs[0].correlation.value == pytest.approx(one.pairs[0].correlation.value)
    assert other.explorer.keep_rate == pytest.approx(one.explorer.keep_rate)
    for before, after in zip(one.methods, other.methods, strict=True):
        assert after.effective_sample_share == pytest.approx(before.effective_sample_share)


def test_the_size_of_chunks_changes_nothing(
    make_log: Any, write_log: Any, trade_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(make_log(trade_off, steps=12, groups=16).columns)
    whole = diagnose(RewardLog(path))
    monkeypatch.setattr("gd2po.logs.grouping.CHUNK_ROLLOUTS", 100)
    pieces = diagnose(RewardLog(path))
    assert pieces.pairs[0].correlation.value == pytest.approx(whole.pairs[0].correlation.value)
    assert [group.where for group in pieces.prompts] == [group.where for group in whole.prompts]
    for before, after in zip(whole.methods, pieces.methods, strict=True):
        assert after.effective_sample_share == pytest.approx(before.effective_sample_share)


def test_a_step_larger_than_any_batch_is_cut_between_groups(
    make_log: Any, write_log: Any, trade_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(make_log(trade_off, steps=1, groups=200).columns)
    whole = diagnose(RewardLog(path))
    monkeypatch.setattr("gd2po.logs.grouping.CHUNK_ROLLOUTS", 100)
    monkeypatch.setattr("gd2po.logs.grouping.LARGEST_STEP", 300)
    pieces = diagnose(RewardLog(path))
    assert pieces.source.steps == 1
    assert pieces.source.group_sizes == {8: 200}
    assert pieces.explorer.keep_rate == pytest.approx(whole.explorer.keep_rate)
    assert pieces.rewards[0].mean == pytest.approx(whole.rewards[0].mean)
    assert pieces.rewards[0].at_highest == pytest.approx(whole.rewards[0].at_highest)


def test_a_hundred_thousand_groups_in_one_step(write_log: Any) -> None:
    random = np.random.default_rng(0)
    count = 100_000
    columns = {
        "group": np.repeat(np.arange(count), 2),
        "x": random.normal(size=2 * count),
        "y": random.normal(size=2 * count),
    }
    diagnosis = diagnose(RewardLog(write_log(columns)))
    assert diagnosis.source.groups == count
    assert diagnosis.pairs[0].correlation.value == pytest.approx(0, abs=0.02)
    assert diagnosis.pairs[0].correlation.high - diagnosis.pairs[0].correlation.low < 0.03


def test_the_most_conflicted_prompts_come_first_and_once(write_log: Any) -> None:
    calm, torn = [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]
    columns = {
        "step": [1] * 12,
        "group": [0] * 4 + [1] * 4 + [2] * 4,
        "x": calm * 3,
        "y": calm + torn + torn,
        "prompt": ["calm"] * 4 + ["torn"] * 8,
        "completion": [f"answer {row}" for row in range(12)],
    }
    prompts = diagnose(RewardLog(write_log(columns))).prompts
    assert [group.prompt for group in prompts] == ["torn"]
    assert [rollout.completion for rollout in prompts[0].rollouts] == ["answer 4", "answer 5", "answer 6", "answer 7"]
    assert prompts[0].rollouts[0].rewards == [1.0, 0.0]
    assert prompts[0].rollouts[0].conflict
    assert prompts[0].where.endswith("row 5")


def test_long_texts_are_cut(write_log: Any) -> None:
    columns = {"group": [0, 0], "x": [1.0, 0.0], "y": [0.0, 1.0], "prompt": ["p" * 5000] * 2, "completion": ["c"] * 2}
    shown = diagnose(RewardLog(write_log(columns))).prompts[0]
    assert shown.prompt is not None
    assert shown.prompt.endswith("[... 1,000 more characters]")


RUN_COLUMNS = {
    "step": [1] * 4, "group": [0] * 4, "reward/x": [1.0, 0.0, 0.0, 1.0], "reward/y": [0.0, 1.0, 0.5, 1.0]
}  # fmt: skip


@pytest.fixture
def diagnose_run(write_log: Any) -> Any:
    """The diagnosis of a run folder with this config.yaml."""

    def run(config: str) -> Diagnosis:
        folder = write_log(RUN_COLUMNS, "run/rollouts/step_000001.parquet").parents[1]
        (folder / "config.yaml").write_text(config)
        return diagnose(RewardLog(folder))

    return run


def test_the_runs_own_settings_are_taken_from_its_folder(diagnose_run: Any) -> None:
    diagnosis = diagnose_run(
        "advantage_estimator: gd2po\nfiltering: snr\nsnr_threshold: 0.35\nreward_weights: [1, 2]\n"
    )
    assert [reward.weight for reward in diagnosis.rewards] == [1.0, 2.0]
    assert (diagnosis.explorer.marked_threshold, diagnosis.explorer.marked_is_run) == (0.35, True)
    assert [method.name for method in diagnosis.methods if method.is_run] == ["gd2po-snr 0.35"]
    assert diagnosis.source.run.label == "gd2po-snr 0.35"
    assert diagnosis.source.run.options["min_retained"] == 0.8
    assert diagnosis.source.weights_origin == "run"
    assert not any("assumed" in note for note in diagnosis.source.notes)


def test_the_runs_own_settings_are_taken_from_its_log_first(tmp_path: Path) -> None:
    rewards, group_ids = torch.tensor([RUN_COLUMNS["reward/x"], RUN_COLUMNS["reward/y"]]).T, torch.zeros(4).long()
    setting = Setting.of({"filtering": "hard", "conflict_pairs": "correlated"}, "test")
    RolloutLog(tmp_path, describe_run(setting, ["x", "y"], [1.0, 0.5])).write(
        1, reward_names=["x", "y"], group_ids=group_ids, prompts=["p"] * 4, completions=["c"] * 4, rewards=rewards,
        result=setting.advantages(rewards, group_ids), token_counts=torch.ones(4).long(),
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text("advantage_estimator: gdpo\n")
    diagnosis = diagnose(RewardLog(tmp_path))
    assert diagnosis.source.run.label == "gd2po-gated"
    assert [reward.weight for reward in diagnosis.rewards] == [1.0, 0.5]
    assert [method.name for method in diagnosis.methods if method.is_run] == ["gd2po-gated"]
    backwards = diagnose(RewardLog(tmp_path, ColumnChoices(rewards=["y", "x"])))
    assert [reward.weight for reward in backwards.rewards] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("config", "label", "marked"),
    [
        ("advantage_estimator: gdpo\nsnr_threshold: 0.8", "gdpo", None),
        ("advantage_estimator: grpo", "grpo", None),
        ("advantage_estimator: gd2po\nfiltering: hard", "gd2po-hard", 1.0),
        ("advantage_estimator: gd2po\nfiltering: snr\nsnr_threshold: 0.8", "gd2po-snr 0.8", 0.8),
        ("advantage_estimator: gd2po\nsnr_threshold: auto", "gd2po-auto", None),
        ("advantage_estimator: gd2po\nfiltering: hard\nconflict_pairs: correlated", "gd2po-gated", None),
        ("advantage_estimator: gd2po\nfiltering: none", "gd2po filtering=none", None),
        ("advantage_estimator: gd2po\nsnr_threshold: 0.0", "gd2po-snr 0", None),
    ],
)
def test_a_threshold_is_the_runs_only_where_its_filter_has_it(
    diagnose_run: Any, config: str, label: str, marked: float | None
) -> None:
    diagnosis = diagnose_run(config)
    explorer = diagnosis.explorer
    assert [method.name for method in diagnosis.methods if method.is_run] == [label]
    default = METHODS["gd2po"].options["snr_threshold"].default
    expected = (default, False) if marked is None else (marked, True)
    assert (explorer.marked_threshold, explorer.marked_is_run) == expected
    page = render_html(diagnosis)
    assert ("this run</button>" in page) is (marked is not None)
    assert (f"{default:.2f} GD²PO&#39;s default</button>" in page) is (marked is None)


def test_a_threshold_between_those_of_the_explorer_is_said(diagnose_run: Any) -> None:
    diagnosis = diagnose_run("advantage_estimator: gd2po\nsnr_threshold: 0.358")
    assert diagnosis.explorer.marked_threshold == 0.36
    assert any("The run's threshold is 0.358" in note for note in diagnosis.source.notes)


def test_a_setting_of_a_newer_version_is_a_note(diagnose_run: Any) -> None:
    diagnosis = diagnose_run("advantage_estimator: gd3po\nreward_weights: [1.0, 2.0]")
    assert not any(method.is_run for method in diagnosis.methods)
    assert diagnosis.source.run is None
    assert any("'gd3po'" in note for note in diagnosis.source.notes)


def test_the_caller_goes_before_the_log(diagnose_run: Any, write_log: Any) -> None:
    diagnose_run("advantage_estimator: gdpo\nreward_weights: [1.0, 2.0]")
    folder = write_log(RUN_COLUMNS, "run/rollouts/step_000001.parquet").parents[1]
    diagnosis = diagnose(RewardLog(folder), {"y": 0.25}, setting=Setting.named("gd2po-hard", "test"))
    assert diagnosis.source.run.label == "gd2po-hard"
    assert [reward.weight for reward in diagnosis.rewards] == [1.0, 0.25]
    assert diagnosis.source.weights_origin == "given"


def test_weights_that_nobody_gave_are_said_to_be_assumed(write_log: Any, small_table: Any) -> None:
    path = write_log(small_table)
    assumed = diagnose(RewardLog(path))
    assert assumed.source.weights_origin == "assumed"
    (note,) = [note for note in assumed.source.notes if "weights of 1 assumed" in note]
    out = io.StringIO()
    print_diagnosis(assumed, Console(file=out))
    for text in (render_html(assumed), out.getvalue()):
        assert note[:30] in text
    given = diagnose(RewardLog(path), [1.0, 1.0])
    assert not any("assumed" in note for note in given.source.notes)


def test_weights_go_by_name_or_by_place() -> None:
    assert resolve_weights({"b": 0.5}, ["a", "b"]) == [1.0, 0.5]
    assert resolve_weights([2, 0], ["a", "b"]) == [2.0, 0.0]
    for weights, message in (
        ({"c": 1.0}, "` .*'c'"),
        ([1.0], "` .*expected 2"),
        ([0.0, 0.0], "` .*not all 0"),
        ([1, math.inf], r"\[1\]` .*finite"),
        ([1, {"schedule": "linear", "start": 0, "end": 1, "steps": 9}], "` .*needs numbers for a log"),
    ):
        with pytest.raises((ConfigError, InvalidInputError), match=f"`reward_weights{message}"):
            resolve_weights(weights, ["a", "b"])


def test_a_range_without_steps_says_so(write_log: Any, small_table: Any) -> None:
    with pytest.raises(DataFormatError, match=r"holds no rollouts with steps from 7 to None \(`step_range`\)"):
        diagnose(RewardLog(write_log(small_table), step_range=(7, None)))


def test_torch_keeps_its_threads(write_log: Any, small_table: Any) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        diagnose(RewardLog(write_log(small_table)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def rewards_at_random(count: int) -> Any:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        return {f"r{number}": random.normal(size=(groups, size)) for number in range(count)}

    return rewards


def test_two_hundred_rewards_are_diagnosed_in_bounded_memory(make_log: Any, write_log: Any) -> None:
    log = RewardLog(write_log(make_log(rewards_at_random(200), steps=1, groups=16, group_size=4).columns))
    with limited_memory(1300):
        diagnosis = diagnose(log)
    assert len(diagnosis.pairs) == 200 * 199 // 2
    assert any(" more" in finding.text for finding in diagnosis.verdict.findings)
    for finding in diagnosis.verdict.findings:
        assert len(finding.text) < 3000
        assert sum(name.startswith("correlation/") for name in finding.numbers) <= SHOWN_PAIRS


def test_a_chunk_that_is_looked_at_in_parts_gives_the_same(
    awkward_log: Any, write_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(awkward_log.columns)
    choices = ColumnChoices(rewards=list(awkward_log.rewards))
    whole = diagnose(RewardLog(path, choices), WEIGHTS)
    monkeypatch.setattr("gd2po.diagnosis.analysis.MOST_PAIR_NUMBERS", 6 * 12)
    parts = diagnose(RewardLog(path, choices), WEIGHTS)
    assert parts.source == whole.source
    assert parts.course == whole.course
    for one, other in zip(parts.pairs, whole.pairs, strict=True):
        assert one.conflict_rate == other.conflict_rate
        assert (one.correlation.value is None) == (other.correlation.value is None)
        if one.correlation.value is not None:
            assert one.correlation.value == pytest.approx(other.correlation.value, rel=1e-12)
            assert one.correlation.low == pytest.approx(other.correlation.low, rel=1e-12)
