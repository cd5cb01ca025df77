"""Whole runs: against a slow oracle, by hand, and what seeds share."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from gd2po.core import Setting
from gd2po.errors import InvalidInputError
from gd2po.worlds import WORLDS, Gaussian, RareGross, Reward, World, WorldRun, simulate
from gd2po.worlds.draws import Streams
from gd2po.worlds.tables import Tables

SETTINGS = {label: Setting.named(label, "test") for label in ("grpo", "gdpo", "gd2po-hard", "gd2po-gated")}
SMALL = {"prompts": 6, "prompts_per_step": 4, "answers": 5, "group_size": 4, "steps": 6}


def small(name: str, **changes: object) -> World:
    return dataclasses.replace(WORLDS[name], **{**SMALL, **changes})  # type: ignore[arg-type]


def oracle(world: World, setting: Setting, learning_rate: float, seed: int) -> list[float]:
    """The expected score after each step, one seed, with autograd and a loop over prompts."""
    tables = Tables.of(world, [seed])
    samples, subsets = Streams([seed], "rollouts"), Streams([seed], "prompts")
    shape = (world.prompts, world.answers) if tables.features is None else (world.features,)
    parameters = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    scores = []
    for step in range(world.steps + 1):
        logits = parameters if tables.features is None else tables.features[0] @ parameters
        scores.append(float((logits.detach().softmax(-1) * tables.score[0]).sum(-1).mean()))
        if step == world.steps:
            return scores
        prompts = subsets.subset(world.prompts_per_step, world.prompts)[0].tolist()
        uniform = samples.uniform(world.prompts_per_step, world.group_size)[0]
        rows, logs, group_ids = [], [], []
        for place, prompt in enumerate(prompts):
            for lot in uniform[place].tolist():
                reached = logits[prompt].softmax(-1).cumsum(-1).tolist()
                answer = next((number for number, share in enumerate(reached) if share > lot), world.answers - 1)
                rows.append(tables.rewards[0, prompt, answer])
                logs.append(logits[prompt].log_softmax(-1)[answer])
                group_ids.append(place)
        result = setting.advantages(
            torch.stack(rows), torch.tensor(group_ids), reward_weights=world.reward_weights
        )  # fmt: skip
        objective = (result.advantages * torch.stack(logs)).sum() / world.group_size
        if tables.features is not None:
            objective = objective / world.prompts_per_step
        (gradient,) = torch.autograd.grad(objective, parameters)
        parameters = (parameters + learning_rate * gradient).detach().requires_grad_()
    raise AssertionError


@pytest.mark.parametrize("label", SETTINGS)
@pytest.mark.parametrize("name", ["mixed3", "feature-one-fooled"])
def test_a_run_is_that_of_a_slow_oracle(name: str, label: str) -> None:
    weighted = tuple(
        dataclasses.replace(reward, weight=0.5 + 2 * place) for place, reward in enumerate(small(name).rewards)
    )
    world = small(name, rewards=weighted)
    run = simulate(world, SETTINGS[label], 0.8, [3, 11])
    assert run.steps == list(range(7))
    for seed, curve in zip(run.seeds, run.score, strict=True):
        assert curve == pytest.approx(oracle(world, SETTINGS[label], 0.8, seed), abs=1e-10)


@pytest.mark.parametrize("label", SETTINGS)
def test_a_seed_has_the_same_run_in_any_company_and_every_time(label: str) -> None:
    world = small("blind-spot", prompts_per_step=6)
    together, again = (simulate(world, SETTINGS[label], 1.0, [0, 1, 2]) for _ in range(2))
    alone = simulate(world, SETTINGS[label], 1.0, [2])
    assert together == again
    assert alone.score[0] == pytest.approx(together.score[2], abs=1e-12)
    assert together.score[0] != together.score[1]


def test_all_settings_and_learning_rates_start_from_the_same_truth() -> None:
    world = small("t2")
    runs = [simulate(world, setting, rate, [0, 1]) for setting in SETTINGS.values() for rate in (0.1, 1.0)]
    assert len({tuple(curve[0] for curve in run.score) for run in runs}) == 1
    assert len({tuple(map(tuple, run.rewards_before)) for run in runs}) == 1
    assert len({tuple(run.final) for run in runs}) == len(runs)


def test_the_start_is_the_uniform_policy() -> None:
    world, seeds = small("mixed4"), [4, 9]
    tables = Tables.of(world, seeds)
    run = simulate(world, SETTINGS["gdpo"], 1.0, seeds, tables=tables)
    assert [curve[0] for curve in run.score] == pytest.approx(tables.score.mean((1, 2)).tolist())
    for row, expected in zip(run.rewards_before, tables.rewards.mean((1, 2)).tolist(), strict=True):
        assert row == pytest.approx(expected)


def test_one_prompt_with_two_answers_is_learned_to_the_end() -> None:
    world = World("coin", (Reward("exact"),), prompts=1, prompts_per_step=1, answers=2, group_size=32, steps=300)
    run = simulate(world, SETTINGS["grpo"], 1.0, [0, 1, 2])
    best = Tables.of(world, [0, 1, 2]).score.amax((1, 2)).tolist()
    assert run.final == pytest.approx(best, abs=0.01)
    # A policy that always gives one of two answers is log 2 away from the uniform one.
    assert run.kl == pytest.approx([math.log(2)] * 3, abs=0.03)
    assert [row[0] for row in run.rewards_after] == pytest.approx(run.final)


def test_the_first_step_of_a_tiny_world_by_hand() -> None:
    world = World("coin", (Reward("exact"),), prompts=1, prompts_per_step=1, answers=2, group_size=4, steps=1)
    drawn = (Streams([0], "rollouts").uniform(1, 4) >= 0.5).long().flatten()
    good = int(Tables.of(world, [0]).score[0, 0].argmax())
    hits = int((drawn == good).sum())
    assert 0 < hits < 4
    run = simulate(world, Setting.of({"method": "grpo"}, "test"), 1.0, [0])
    # z of a hit is the share of misses over the sample sd of hits and misses, but for the epsilon of the method.
    share = hits / 4
    spread = math.sqrt(share * (1 - share) * 4 / 3)
    # The advantages add up to 0, so the good logit rises by the mean over the rollouts of the advantages of the hits.
    shift = share * (1 - share) / spread
    probability = 1 / (1 + math.exp(-2 * shift))
    low, high = sorted(Tables.of(world, [0]).score[0, 0].tolist())
    assert run.final[0] == pytest.approx(probability * high + (1 - probability) * low, abs=1e-4)
    entropy = -probability * math.log(probability) - (1 - probability) * math.log(1 - probability)
    assert run.kl[0] == pytest.approx(math.log(2) - entropy, abs=1e-4)


def test_gain_and_area_of_a_curve() -> None:
    run = WorldRun("w", "gdpo", 1.0, [0], [0, 10, 40], [[0.0, 1.0, 3.0]], [0.0], [[0.0]], [[0.0]])
    assert run.final == [3.0]
    assert run.gain == [3.0]
    assert run.area == pytest.approx([(10 * 0.5 + 30 * 2.0) / 40])


def test_long_runs_are_evaluated_at_twenty_five_points() -> None:
    run = simulate(small("gauss", steps=50), SETTINGS["gdpo"], 1.0, [0])
    assert (run.steps[0], run.steps[-1], len(run.steps), len(run.score[0])) == (0, 50, 25, 25)


def test_fresh_and_missing_rewards_are_learned_from_too() -> None:
    reward = Reward("a", errors=(Gaussian(0.1, fresh=True), RareGross(1, 0.1, fresh=True)), missing=0.3, copies=3)
    run = simulate(World("w", (reward,), steps=40), SETTINGS["gd2po-gated"], 1.0, [0, 1])
    assert min(run.gain) > 0.2


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_must_be_there_and_differ(seeds: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="`seeds` needs one or more different numbers"):
        simulate(small("gauss"), SETTINGS["gdpo"], 1.0, seeds)


@pytest.mark.parametrize("seed", [0.5, -1, True])
def test_a_seed_must_be_a_whole_number(seed: float) -> None:
    with pytest.raises(InvalidInputError, match="`seeds` must be a whole number of at least 0"):
        simulate(small("gauss"), SETTINGS["gdpo"], 1.0, [seed])  # type: ignore[list-item]


def test_tables_of_another_world_or_seed_are_refused() -> None:
    tables = Tables.of(small("gauss"), [0, 1])
    with pytest.raises(InvalidInputError, match="`tables` must be of 'spiky3'"):
        simulate(small("spiky3"), SETTINGS["gdpo"], 1.0, [0, 1], tables=tables)
    with pytest.raises(InvalidInputError, match="and the same seeds"):
        simulate(small("gauss"), SETTINGS["gdpo"], 1.0, [0, 2], tables=tables)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), True])
def test_the_learning_rate_must_be_above_zero(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="`learning_rate` must be"):
        simulate(small("gauss"), SETTINGS["gdpo"], rate, [0])
