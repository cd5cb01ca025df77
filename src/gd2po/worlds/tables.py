"""Everything that is fixed before a run: true goals, score and persistent rewards of every answer, for S seeds.

Shapes here and in the simulation: S seeds, P prompts (of a step where rollouts are meant), C possible answers,
G rollouts per prompt, K rewards, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd2po.errors import InvalidInputError
from gd2po.worlds.declaration import Goal, Reward, World
from gd2po.worlds.draws import generator
from gd2po.worlds.error_models import Source


@dataclass(frozen=True, eq=False)
class Tables:
    """The truth about every answer, and what the rewards say of it."""

    world: World
    seeds: tuple[int, ...]
    score: Tensor
    """(S, P, C) the true score."""
    rewards: Tensor
    """(S, P, C, K) what each reward says, without the errors drawn at every visit and without missing ones."""
    sums: Tensor
    """(S, P, C, K) goals and persistent errors, before anything is made binary."""
    flipped: Tensor
    """(S, P, C, K) bool: persistently flipped."""
    features: Tensor | None
    """(S, P, C, F) in a world of features."""

    @staticmethod
    def of(world: World, seeds: Sequence[int]) -> Tables:
        """The tables of a world; those of one seed are the same whatever the other seeds.

        Raises:
            InvalidInputError: a goal of the score is the same for all answers and has no standard deviation.
        """
        shape = (world.prompts, world.answers)
        features = None
        if world.policy == "features":
            features = torch.stack([
                torch.randn(*shape, world.features, generator=generator(seed, "features"), dtype=torch.float64)
                for seed in seeds
            ])  # fmt: skip
        goals: dict[str, Tensor] = {}
        for goal in world.goals:
            goals[goal.name] = _goal_values(goal, goals, shape, seeds, features)
        sums, flipped, rewards = [], [], []
        for reward in world.all_rewards:
            sums.append(_mixture(reward.goals, goals, (len(seeds), *shape)) + _errors(reward, shape, seeds, features))
            flipped.append(_flips(reward, shape, seeds))
            rewards.append(_as_scored(sums[-1], flipped[-1], reward))
        return Tables(
            world=world,
            seeds=tuple(seeds),
            score=_score(world, goals),
            rewards=torch.stack(rewards, -1),
            sums=torch.stack(sums, -1),
            flipped=torch.stack(flipped, -1),
            features=features,
        )

    def visit(self, prompts: Tensor, answers: Tensor, step: int) -> Tensor:
        """The rewards of sampled answers, with the errors of this visit.

        Args:
            prompts: (S, P) numbers of prompts.
            answers: (S, P, G) numbers of answers.
            step: of the run: errors of a visit are drawn by seed, reward and step.

        Returns:
            (S, P, G, K); NaN where a reward is missing.
        """
        rewards = _at(self.rewards, prompts, answers)
        shape = tuple(answers.shape[1:])
        for column, reward in enumerate(self.world.all_rewards):
            if reward.has_fresh_errors:
                sums = _at(self.sums[..., column], prompts, answers) + _errors(reward, shape, self.seeds, None, step)
                flipped = _at(self.flipped[..., column], prompts, answers) ^ _flips(reward, shape, self.seeds, step)
                rewards[..., column] = _as_scored(sums, flipped, reward)
            if reward.missing:
                name = f"step {step}: missing of reward {reward.name}"
                lots = [torch.rand(shape, generator=generator(seed, name)) for seed in self.seeds]
                rewards[..., column].masked_fill_(torch.stack(lots) < reward.missing, torch.nan)
        return rewards


def _at(table: Tensor, prompts: Tensor, answers: Tensor) -> Tensor:
    """(S, P, C, ...) -> (S, P, G, ...) at the given prompts and answers."""
    num_seeds, num_prompts, num_answers = table.shape[:3]
    row = (torch.arange(num_seeds)[:, None] * num_prompts + prompts).unsqueeze(-1) * num_answers + answers
    return table.flatten(0, 2).index_select(0, row.flatten()).view(*answers.shape, *table.shape[3:])


def _goal_values(
    goal: Goal, earlier: dict[str, Tensor], shape: tuple[int, ...], seeds: Sequence[int], features: Tensor | None
) -> Tensor:
    values = goal.offset + _mixture(goal.parts, earlier, (len(seeds), *shape))
    if goal.own and features is not None and goal.source == "feature":
        values = values + goal.own * torch.sigmoid(goal.steepness * features[..., goal.feature])
    elif goal.own:
        draw = torch.rand if goal.source == "uniform" else torch.randn
        name = f"goal {goal.name}"
        values = values + goal.own * torch.stack(
            [draw(shape, generator=generator(seed, name), dtype=torch.float64) for seed in seeds]
        )
    return values if goal.above is None else (values > goal.above).double()


def _mixture(coefficients: Mapping[str, float], goals: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    total = torch.zeros(shape, dtype=torch.float64)
    for name, coefficient in coefficients.items():
        total = total + coefficient * goals[name]
    return total


def _errors(
    reward: Reward, shape: tuple[int, ...], seeds: Sequence[int], features: Tensor | None, step: int | None = None
) -> Tensor:
    """(S, *shape) the sum of the errors of a step, or of the persistent ones where there is no step."""
    total = torch.zeros(len(seeds), *shape, dtype=torch.float64)
    for error in reward.errors:
        if error.fresh == (step is not None):
            for row, seed in enumerate(seeds):
                own = None if features is None else features[row]
                total[row] += error.draw(shape, reward.name, reward.family or reward.name, _source(seed, step), own)
    return total


def _flips(reward: Reward, shape: tuple[int, ...], seeds: Sequence[int], step: int | None = None) -> Tensor:
    """(S, *shape) bool: what is flipped at a step, or for good where there is no step."""
    flips = reward.flips
    if flips is None or flips.fresh != (step is not None):
        return torch.zeros(len(seeds), *shape, dtype=torch.bool)
    return torch.stack([flips.draw(shape, reward.name, _source(seed, step)) for seed in seeds])


def _source(seed: int, step: int | None) -> Source:
    return lambda name: generator(seed, name if step is None else f"step {step}: {name}")


def _as_scored(sums: Tensor, flipped: Tensor, reward: Reward) -> Tensor:
    """What a reward says: the sum itself, or whether it is above the threshold, or the opposite."""
    return sums if reward.threshold is None else ((sums > reward.threshold) ^ flipped).double()


def _score(world: World, goals: Mapping[str, Tensor]) -> Tensor:
    """(S, P, C) the weighted sum of the goals, each in the unit of the score."""
    if world.score_unit == "raw":
        return _mixture(world.score, goals, next(iter(goals.values())).shape)
    in_sd: dict[str, Tensor] = {}
    for name in world.score:
        sd = goals[name].std((1, 2), correction=0, keepdim=True)
        if bool((sd == 0).any()):
            raise InvalidInputError(
                f"`score_unit` must be 'raw' where a goal has no standard deviation: {name!r} of {world.name!r} is "
                "the same for all answers of some seed."
            )
        in_sd[name] = goals[name] / sd
    return _mixture(world.score, in_sd, next(iter(goals.values())).shape)
