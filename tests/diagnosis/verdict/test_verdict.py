"""Every rule of the verdict on a log that was constructed to call for it, and on one that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gd2po import binary_snr_ceiling
from gd2po.core import Setting
from gd2po.diagnosis import Diagnosis, RewardLog, diagnose
from gd2po.diagnosis.model import Finding

SNR_08 = Setting.of({"snr_threshold": 0.8}, "test")
Rewards = Callable[[np.random.Generator, int, int], dict[str, np.ndarray]]


@pytest.fixture
def diagnose_rewards(make_log: Any, write_log: Any) -> Callable[..., Diagnosis]:
    """The diagnosis of a constructed log."""

    def run(rewards: Rewards, weights: Any = None, setting: Setting | None = None, **shape: Any) -> Diagnosis:
        return diagnose(RewardLog(write_log(make_log(rewards, **shape).columns)), weights, setting=setting)

    return run


def finding(diagnosis: Diagnosis, rule: str) -> Finding:
    return next(found for found in diagnosis.verdict.findings if found.rule == rule)


def rules(diagnosis: Diagnosis) -> set[str]:
    return {found.rule for found in diagnosis.verdict.findings}


# Conflicts


def test_rewards_that_agree_with_light_errors_have_nothing_to_gain_from_a_filter(
    diagnose_rewards: Any, noisy_graders: Rewards
) -> None:
    diagnosis = diagnose_rewards(noisy_graders)
    assert diagnosis.verdict.kind == "noise"
    assert "nothing to gain" in diagnosis.verdict.headline
    assert "light_tail" in rules(diagnosis)
    assert not {"blind_spot", "heavy_tail", "noise"} & rules(diagnosis)


def test_rewards_that_agree_and_are_declared_to_be_two_goals_are_left_to_the_sum(
    make_log: Any, write_log: Any, noisy_graders: Rewards
) -> None:
    log = RewardLog(write_log(make_log(noisy_graders).columns))
    diagnosis = diagnose(log, reward_families={"grader_a": "one", "grader_b": "other"})
    noise = finding(diagnosis, "noise")
    assert diagnosis.families == []
    assert noise.sureness == 1
    assert noise.numbers["correlation/grader_a/grader_b"] == pytest.approx(0.6, abs=0.05)
    assert "no reason to filter" in noise.text


def test_rewards_that_oppose_each_other_are_a_trade_off(diagnose_rewards: Any, trade_off: Rewards) -> None:
    diagnosis = diagnose_rewards(trade_off)
    found = finding(diagnosis, "trade_off")
    assert diagnosis.verdict.kind == "trade_off"
    assert "quality and brevity" in diagnosis.verdict.headline
    assert "Do not filter" in found.advice
    assert "docs/families.md" in found.advice
    assert diagnosis.families == []
    assert "reward_weights" in found.advice
    hard = next(method for method in diagnosis.methods if method.name == "gd2po-hard")
    least = min(*hard.retained.values(), *hard.retained_negative.values())
    assert found.numbers["least_retained_hard"] == pytest.approx(least)
    assert found.sureness == 1


def test_a_negative_weight_turns_agreement_into_a_trade_off(diagnose_rewards: Any, noisy_graders: Rewards) -> None:
    # A length penalty as minus a length reward: what counts is how the weighted rewards correlate.
    diagnosis = diagnose_rewards(noisy_graders, {"grader_b": -1.0})
    assert diagnosis.verdict.kind == "trade_off"


def test_rewards_that_know_nothing_of_each_other_are_no_noise(diagnose_rewards: Any, unrelated: Rewards) -> None:
    diagnosis = diagnose_rewards(unrelated, groups=320)
    assert diagnosis.verdict.kind == "unclear"
    assert "Rewards are unrelated" in diagnosis.verdict.headline
    assert finding(diagnosis, "unrelated").sureness >= 0.95
    assert len(finding(diagnosis, "unrelated").numbers) == 2 * 3


def test_a_trade_off_beside_noise_is_said_as_both(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        effort = random.normal(size=(groups, size))
        quality = {name: effort + 0.8 * random.normal(size=(groups, size)) for name in ("grader_a", "grader_b")}
        return {**quality, "brevity": -effort + 0.8 * random.normal(size=(groups, size))}

    diagnosis = diagnose_rewards(rewards)
    assert diagnosis.verdict.kind == "mixed"
    assert {"light_tail", "trade_off"} <= rules(diagnosis)
    assert {pair.kind for pair in diagnosis.pairs} == {"agree", "oppose"}


def test_little_data_is_said_to_be_little(diagnose_rewards: Any, unrelated: Rewards) -> None:
    diagnosis = diagnose_rewards(unrelated, steps=1, groups=12, group_size=4)
    assert diagnosis.verdict.kind == "unclear"
    assert "not clear" in diagnosis.verdict.headline
    assert "unclear" in rules(diagnosis)
    assert "Only 12 of 12 groups" in finding(diagnosis, "few_groups").text
    assert "few_groups" not in rules(diagnose_rewards(unrelated))


def test_the_same_correlation_is_surer_with_more_groups(diagnose_rewards: Any) -> None:
    def weakly_agreeing(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        quality = random.normal(size=(groups, size))
        return {name: quality + 2.2 * random.normal(size=(groups, size)) for name in "ab"}  # correlation about 0.17

    few = diagnose_rewards(weakly_agreeing, steps=1, groups=20)
    many = diagnose_rewards(weakly_agreeing, steps=20, groups=64)
    assert few.pairs[0].kind == "unclear"
    assert many.pairs[0].kind == "agree"
    assert few.families == [] or few.families[0].certainty < many.families[0].certainty
    assert 0.95 <= many.families[0].certainty <= 1


def test_rewards_that_hardly_ever_disagree_need_no_action(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        quality = np.round(random.normal(size=(groups, size)), 1)
        slip = random.random((groups, size)) < 0.005
        return {"a": quality, "b": np.where(slip, -quality, quality)}

    diagnosis = diagnose_rewards(rewards)
    assert diagnosis.verdict.kind == "no_conflict"
    assert diagnosis.verdict.headline == "No conflict worth acting on."
    assert finding(diagnosis, "no_conflict").sureness > 0.95
    assert not {"starved", "snr_is_hard"} & rules(diagnosis)


def test_one_reward_gets_a_useful_answer(diagnose_rewards: Any) -> None:
    diagnosis = diagnose_rewards(
        lambda random, groups, size: {"score": np.repeat([[1.0], [0.0]], groups // 2, 0) @ np.ones((1, size))}
    )
    assert diagnosis.verdict.kind == "no_signal"
    diagnosis = diagnose_rewards(lambda random, groups, size: {"score": random.normal(size=(groups, size))})
    assert diagnosis.verdict.kind == "one_reward"
    assert "log its parts" in finding(diagnosis, "one_reward").advice
    assert diagnosis.pairs == []
    # The other rewards' weights are 0: one is left.
    two = diagnose_rewards(
        lambda random, groups, size: dict(zip("ab", random.normal(size=(2, groups, size)), strict=True)), [1, 0]
    )
    assert two.verdict.kind == "one_reward"


def test_groups_of_one_say_how_to_group(diagnose_rewards: Any, noisy_graders: Rewards) -> None:
    diagnosis = diagnose_rewards(noisy_graders, group_size=1)
    assert diagnosis.verdict.kind == "no_signal"
    assert "`group` or `group_size`" in finding(diagnosis, "no_signal").advice
    assert diagnosis.source.single_rollout_groups == diagnosis.source.groups


# Rewards


def test_a_reward_that_never_tells_rollouts_apart_is_dead(diagnose_rewards: Any, noisy_graders: Rewards) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        by_prompt = np.repeat(random.normal(size=(groups, 1)), size, 1)
        return {**noisy_graders(random, groups, size), "dead": np.zeros((groups, size)), "by_prompt": by_prompt}

    diagnosis = diagnose_rewards(rewards)
    dead = [found for found in diagnosis.verdict.findings if found.rule == "dead"]
    assert [found.title for found in dead] == ["dead is dead", "by_prompt is dead"]
    assert "(always 0)" in dead[0].text
    assert "100%" in dead[1].text
    assert "always" not in dead[1].text
    assert dead[0].sureness == 1


def test_a_reward_that_is_solved_at_the_end_is_saturated(make_log: Any, write_log: Any, noisy_graders: Rewards) -> None:
    log = make_log(noisy_graders, steps=20)
    random = np.random.default_rng(1)
    solved = random.random(len(log.steps)) < np.where(log.steps > 10, 0.99, 0.3)
    diagnosis = diagnose(RewardLog(write_log({**log.columns, "format": solved.astype(float).tolist()})))
    saturated = finding(diagnosis, "saturated")
    assert saturated.title == "format is saturated"
    assert saturated.numbers["at_highest_last"] == pytest.approx(solved[log.steps > 15].mean())
    early = (random.random(len(log.steps)) < 0.6).astype(float).tolist()
    assert "saturated" not in rules(diagnose(RewardLog(write_log({**log.columns, "format": early}))))


def test_a_reward_with_most_of_the_advantage_dominates(diagnose_rewards: Any, unrelated: Rewards) -> None:
    diagnosis = diagnose_rewards(unrelated, {"a": 5.0})
    found = finding(diagnosis, "dominating")
    assert found.title == "a dominates"
    assert found.numbers["gdpo"] == pytest.approx(25 / 27, abs=0.01)
    assert found.sureness == 1
    assert "dominating" not in rules(diagnose_rewards(unrelated))


def test_a_reward_that_dominates_by_its_scale_only_does_so_under_grpo(
    diagnose_rewards: Any, unrelated: Rewards
) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        made = unrelated(random, groups, size)
        return {**made, "a": 10 * made["a"]}

    found = finding(diagnose_rewards(rewards), "dominating")
    assert found.title == "a dominates a plain sum"
    assert found.numbers["grpo"] == pytest.approx(100 / 102, abs=0.01)
    assert found.numbers["gdpo"] == pytest.approx(1 / 3, abs=0.05)
    assert found.sureness == 1


def test_one_reward_twice_is_noticed_in_either_direction(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        a = random.normal(size=(groups, size))
        return {"a": a, "flag": -2 * a + 1}

    diagnosis = diagnose_rewards(rewards)
    assert "leave it out with `rewards`" in finding(diagnosis, "same_information").advice


# Filters


def binary(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
    quality = random.normal(size=(groups, size))
    return {name: (quality + 0.5 * random.normal(size=(groups, size)) > 0).astype(float) for name in "ab"}


@pytest.mark.parametrize(("size", "ceiling"), [(4, 0.5), (8, 0.75)])
def test_binary_rewards_make_the_snr_filter_the_hard_one(diagnose_rewards: Any, size: int, ceiling: float) -> None:
    diagnosis = diagnose_rewards(binary, group_size=size, setting=SNR_08)
    found = finding(diagnosis, "snr_is_hard")
    assert binary_snr_ceiling(2, size) == ceiling
    assert f"above {ceiling:.2f}" in found.text
    assert diagnosis.explorer.largest_conflict_snr <= ceiling + 1e-6
    at = [method for method in diagnosis.methods if method.name in ("gd2po-snr 0.8", "gd2po-hard")]
    assert at[0].filtered_rate == at[1].filtered_rate


def test_continuous_rewards_leave_the_snr_filter_its_own(diagnose_rewards: Any, noisy_graders: Rewards) -> None:
    assert "snr_is_hard" not in rules(diagnose_rewards(noisy_graders))


def test_a_filter_that_takes_a_rewards_penalties_is_said_to_starve_it(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        # Mostly satisfied, and whoever fails it is good at the other.
        effort = random.normal(size=(groups, size))
        return {"format": (effort < 1).astype(float), "quality": effort + 0.3 * random.normal(size=(groups, size))}

    starved = finding(diagnose_rewards(rewards, setting=SNR_08), "starved")
    assert starved.numbers["retained_negative/format"] < 0.2
    assert "of the penalties of format" in starved.text
    assert starved.sureness == 1


def test_where_the_run_has_no_filter_the_default_one_is_judged(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        effort = random.normal(size=(groups, size))
        return {"quality": effort, "brevity": -effort + 0.3 * random.normal(size=(groups, size))}

    for setting in (None, Setting.named("gdpo", "test")):
        starved = finding(diagnose_rewards(rewards, setting=setting), "starved")
        assert starved.level == "watch"
        assert starved.text.startswith("GD²PO at its default threshold of 0.3 would keep")


def test_a_reward_whose_penalties_alone_are_taken_is_starved_too(diagnose_rewards: Any) -> None:
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        # What is good at `a` is mostly good at `b`, and so is what is bad at it.
        a = random.exponential(size=(groups, size))
        b = np.maximum(a - 1.7, 0) + 0.9 * np.maximum(0.7 - a, 0) + 0.1 * random.normal(size=(groups, size))
        return {"a": a, "b": b}

    starved = finding(diagnose_rewards(rewards, setting=SNR_08), "starved")
    assert starved.numbers["retained/a"] > 0.5 > starved.numbers["retained_negative/a"]


def test_the_runs_own_filter_is_blamed_if_it_was_one(make_log: Any, write_log: Any, trade_off: Rewards) -> None:
    columns = make_log(trade_off, steps=1).columns
    columns |= {f"reward/{name}": columns.pop(name) for name in ("quality", "brevity")}
    folder = write_log(columns, "run/rollouts/step_000001.parquet").parents[1]
    (folder / "config.yaml").write_text("advantage_estimator: gd2po\nfiltering: hard\nsnr_threshold: 0.8\n")
    starved = finding(diagnose(RewardLog(folder)), "starved")
    assert starved.level == "act"
    assert starved.text.startswith("This run's filter, at 1, keeps")


def test_a_run_is_blamed_for_what_its_own_filter_drops_and_no_threshold(diagnose_rewards: Any) -> None:
    # Graders that agree, and a penalty that only the conflicts carry: a gated run drops those, at no threshold.
    def rewards(random: np.random.Generator, groups: int, size: int) -> dict[str, np.ndarray]:
        a = np.tile([3.0, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0], (groups, 1))
        b = np.tile([3.0, 1.0, 1.0, 1.0, -1.5, -1.5, -1.5, -1.5], (groups, 1))
        return {"a": a, "b": b}

    diagnosis = diagnose_rewards(rewards, setting=Setting.named("gd2po-gated", "test"))
    starved = finding(diagnosis, "starved")
    assert starved.text.startswith("This run's filter (gd2po-gated) keeps")
    assert "threshold of 1" not in starved.text
    assert (starved.level, starved.sureness) == ("act", None)
    assert starved.numbers["retained_negative/a"] == 0
    auto = diagnose_rewards(rewards, setting=Setting.named("gd2po-auto", "test"))
    assert not [found for found in auto.verdict.findings if found.rule == "starved" and found.level == "act"]


def test_groups_that_a_sum_based_filter_drops_wrongly_are_counted(write_log: Any) -> None:
    # In every tenth group the rewards cancel to a constant sum.
    random = np.random.default_rng(0)
    x = random.normal(size=(100, 4))
    y = np.where(np.arange(100)[:, None] % 10 == 0, 1 - x, random.normal(size=(100, 4)))
    x, y = np.round(x * 8) / 8, np.round(y * 8) / 8  # eighths add up without rounding
    columns = {"group": np.repeat(np.arange(100), 4).tolist(), "x": x.ravel().tolist(), "y": y.ravel().tolist()}
    diagnosis = diagnose(RewardLog(write_log(columns)))
    found = finding(diagnosis, "wrongly_dropped")
    assert found.numbers["wrongly_dropped_groups"] == 10
    assert "10 groups" in found.text


def test_every_finding_carries_numbers_and_advice(
    diagnose_rewards: Any, trade_off: Rewards, noisy_graders: Rewards
) -> None:
    for rewards in (trade_off, noisy_graders):
        for found in diagnose_rewards(rewards).verdict.findings:
            assert found.numbers
            assert any(character.isdigit() for character in found.text)
            assert found.advice.endswith(".")
