"""The truth of every answer and what the rewards say of it."""

from __future__ import annotations

import pytest
import torch

from gd2po.errors import InvalidInputError
from gd2po.worlds import WORLDS, Flips, Gaussian, Goal, RareGross, Reward, World
from gd2po.worlds.tables import Tables

SIZE = {"prompts": 6, "prompts_per_step": 6, "answers": 5}
EVERY_PROMPT = torch.arange(6).expand(2, -1)
EVERY_ANSWER = torch.arange(5).expand(2, 6, -1)


@pytest.mark.parametrize("name", WORLDS)
def test_the_tables_of_a_seed_do_not_depend_on_its_company(name: str) -> None:
    alone, together = Tables.of(WORLDS[name], [7]), Tables.of(WORLDS[name], [2, 7])
    # Standard deviations, of scores in sd, are summed in another order.
    assert torch.allclose(alone.score[0], together.score[1], rtol=1e-12, atol=0)
    assert torch.equal(alone.rewards[0], together.rewards[1])
    assert not torch.equal(together.score[0], together.score[1])


def test_goals_are_mixtures_of_their_source_and_of_other_goals() -> None:
    goals = (
        Goal("q"),
        Goal("style", "normal", own=0.35, offset=1, parts={"q": -1}),
        Goal("correct", own=0, parts={"q": 1}, above=0.75),
    )
    rewards = tuple(Reward(name, {name: 1}) for name in ("q", "style", "correct"))
    tables = Tables.of(World("w", rewards, goals=goals, prompts=200, answers=50), [0])
    quality, style, correct = tables.rewards.unbind(-1)
    assert 0 <= float(quality.min()) <= float(quality.max()) < 1
    assert float((style + quality).mean()) == pytest.approx(1, abs=0.01)
    assert float((style + quality).std()) == pytest.approx(0.35, abs=0.01)
    assert torch.equal(correct, (quality > 0.75).double())
    assert torch.equal(tables.score, quality)


def test_a_score_in_sd_weighs_goals_in_units_of_their_spread() -> None:
    goals = (Goal("q"), Goal("wide", own=100))
    rewards = (Reward("a"), Reward("b", {"wide": 1}))
    tables = Tables.of(World("w", rewards, goals=goals, score={"q": 1, "wide": 2}, score_unit="sd"), [0, 1])
    sd = tables.rewards.std((1, 2), correction=0)
    expected = tables.rewards[..., 0] / sd[:, None, None, 0] + 2 * tables.rewards[..., 1] / sd[:, None, None, 1]
    assert torch.allclose(tables.score, expected)


def test_a_goal_without_spread_has_no_unit() -> None:
    world = World("w", (Reward("a"),), goals=(Goal("q", own=0, offset=1),), score_unit="sd")
    with pytest.raises(InvalidInputError, match="`score_unit` must be 'raw'"):
        Tables.of(world, [0])


def test_rewards_add_errors_and_binary_ones_are_flipped() -> None:
    world = World(
        "w",
        (
            Reward("exact"),
            Reward("spiky", errors=(RareGross(3, 0.2),)),
            Reward("binary", threshold=0.5),
            Reward("flipped", threshold=0.5, flips=Flips(0.25)),
        ),
        prompts=200,
        answers=50,
    )
    exact, spiky, binary, flipped = Tables.of(world, [0]).rewards.unbind(-1)
    assert set((spiky - exact).round(decimals=9).unique().tolist()) == {0.0, 3.0}
    assert torch.equal(binary, (exact > 0.5).double())
    assert float((binary != flipped).double().mean()) == pytest.approx(0.25, abs=0.015)


def test_the_first_feature_makes_the_quality_of_generalising_worlds() -> None:
    tables = Tables.of(WORLDS["feature-tilt"], [0])
    assert tables.features is not None
    assert torch.allclose(tables.score, torch.sigmoid(tables.features[..., 0]))


def test_visits_see_persistent_rewards_at_the_sampled_answers() -> None:
    tables = Tables.of(World("w", (Reward("a", errors=(Gaussian(0.3),), copies=3),), **SIZE), [0, 1])
    prompts, answers = torch.tensor([[4, 0], [2, 5]]), torch.tensor([[[1, 1], [0, 4]], [[3, 2], [2, 2]]])
    visit = tables.visit(prompts, answers, 0)
    for seed, prompt, rollout in ((0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 1)):
        expected = tables.rewards[seed, prompts[seed, prompt], answers[seed, prompt, rollout]]
        assert torch.equal(visit[seed, prompt, rollout], expected)


def test_fresh_errors_differ_from_step_to_step_and_repeat_with_the_step() -> None:
    world = World("w", (Reward("fresh", errors=(Gaussian(0.3, fresh=True),)), Reward("exact")), **SIZE)
    tables = Tables.of(world, [0, 1])
    first, again, second = (tables.visit(EVERY_PROMPT, EVERY_ANSWER, step) for step in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first[..., 0], second[..., 0])
    assert torch.equal(first[..., 1], second[..., 1])
    assert torch.equal(tables.rewards[..., 0], tables.rewards[..., 1])


def test_fresh_errors_of_a_family_share_their_common_part() -> None:
    reward = Reward("a", errors=(Gaussian(1, correlation=1, fresh=True),), family="quality", copies=2)
    visit = Tables.of(World("w", (reward,), **SIZE), [0, 1]).visit(EVERY_PROMPT, EVERY_ANSWER, 3)
    assert torch.equal(visit[..., 0], visit[..., 1])


def test_fresh_flips_and_fresh_errors_make_binary_rewards_vary() -> None:
    flipped = Reward("flipped", threshold=0.5, flips=Flips(1.0, fresh=True))
    noisy = Reward("noisy", errors=(Gaussian(1, fresh=True),), threshold=0.5)
    tables = Tables.of(World("w", (flipped, noisy), **SIZE), [0, 1])
    visit = tables.visit(EVERY_PROMPT, EVERY_ANSWER, 0)
    assert torch.equal(visit[..., 0], 1 - tables.rewards[..., 0])
    assert set(visit[..., 1].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(visit[..., 1], tables.rewards[..., 1])


def test_missing_rewards_are_nan_at_their_share_of_the_visits() -> None:
    tables = Tables.of(World("w", (Reward("a", missing=0.3), Reward("b")), **SIZE), [0, 1])
    missing = torch.stack([tables.visit(EVERY_PROMPT, EVERY_ANSWER, step).isnan() for step in range(200)])
    assert float(missing[..., 0].double().mean()) == pytest.approx(0.3, abs=0.015)
    assert not bool(missing[..., 1].any())
    assert not torch.equal(missing[0], missing[1])
    assert not bool(tables.rewards.isnan().any())
