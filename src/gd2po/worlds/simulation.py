"""Runs of a policy in a world: S seeds at once, with the advantages of the project's own methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.errors import InvalidInputError
from gd2po.worlds.batches import advantages_of_batches
from gd2po.worlds.checks import check_count, check_learning_rate
from gd2po.worlds.declaration import World
from gd2po.worlds.draws import Streams
from gd2po.worlds.policies import FeaturePolicy, Policy, TabularPolicy, logit_gradient, sampled_answers
from gd2po.worlds.tables import Tables

CURVE_POINTS = 25
"""Evaluations of a run, start and end included."""


@dataclass(frozen=True)
class WorldRun:
    """A setting in a world at one learning rate. All expectations are exact: over every answer of every prompt."""

    world: str
    label: str
    learning_rate: float
    seeds: list[int]
    steps: list[int]
    """At which the curve was evaluated: updates made so far."""
    score: list[list[float]]
    """The expected true score, per seed and evaluated step."""
    kl_curve: list[list[float]]
    """KL divergence of the policy from the start policy, mean over prompts, in nats, per seed and evaluated step."""
    rewards_before: list[list[float]]
    """Expected rewards at the start, per seed and reward; without errors drawn at every visit."""
    rewards_after: list[list[float]]
    """The same at the end."""

    @property
    def final(self) -> list[float]:
        """The expected true score at the end, per seed."""
        return [curve[-1] for curve in self.score]

    @property
    def kl(self) -> list[float]:
        """KL divergence of the final policy from the start policy, per seed."""
        return [curve[-1] for curve in self.kl_curve]

    @property
    def gain(self) -> list[float]:
        """What the true score has gained, per seed."""
        return [curve[-1] - curve[0] for curve in self.score]

    @property
    def area(self) -> list[float]:
        """Area under the curve of the true score divided by the number of steps, per seed: the mean on the way."""
        length = self.steps[-1] - self.steps[0]
        widths = [(after - before) / length for before, after in pairwise(self.steps)]
        return [
            sum(width * (left + right) / 2 for width, (left, right) in zip(widths, pairwise(curve), strict=True))
            for curve in self.score
        ]


def simulate(
    world: World, setting: Setting, learning_rate: float, seeds: Sequence[int], *, tables: Tables | None = None
) -> WorldRun:
    """Train the policy of a world, one run per seed, all at once.

    Truth, persistent errors, prompts of a step and the uniform numbers behind the sampled answers are those of the
    seed: the same for every setting and learning rate.

    Args:
        world: what to train in.
        setting: how advantages are computed.
        learning_rate: of plain gradient ascent, above 0. The gradient is the mean over the rollouts of a prompt and,
            where prompts share their weights, over the prompts of the step.
        seeds: different whole numbers, at least 0.
        tables: of the same world and seeds, to save making them again.

    Raises:
        InvalidInputError: no seed, the same seed twice, a learning rate that is not a number above 0, or tables of
            something else.

    Example:
        >>> from gd2po.worlds import WORLDS
        >>> run = simulate(WORLDS["gauss"], Setting.named("gdpo", "example"), 1.0, seeds=[0, 1])
        >>> all(after > before + 0.2 for before, *_, after in run.score)
        True
    """
    check_seeds(seeds)
    check_learning_rate(learning_rate, "learning_rate")
    if tables is not None and (tables.world != world or tables.seeds != tuple(seeds)):
        raise InvalidInputError(
            f"`tables` must be of {world.name!r} and the same seeds: got those of {tables.world.name!r} and "
            f"{len(tables.seeds)} seeds. Leave them out to have them made."
        )
    with torch.inference_mode():
        tables = Tables.of(world, seeds) if tables is None else tables
        policy: Policy = (
            TabularPolicy(len(seeds), world.prompts, world.answers)
            if tables.features is None
            else FeaturePolicy(tables.features)
        )
        return _train(world, setting, learning_rate, seeds, tables, policy)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise unless there are seeds, all of them whole and different."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise InvalidInputError(f"`seeds` needs one or more different numbers: got {list(seeds)}.")
    for seed in seeds:
        check_count(seed, "seeds", 0)


def _train(
    world: World, setting: Setting, learning_rate: float, seeds: Sequence[int], tables: Tables, policy: Policy
) -> WorldRun:
    shape = (world.prompts_per_step, world.group_size)
    group_ids = torch.arange(shape[0]).repeat_interleave(shape[1])
    samples, subsets = Streams(seeds, "rollouts"), Streams(seeds, "prompts")
    everything = torch.arange(world.prompts).expand(len(seeds), -1)
    evaluated = _evaluated_steps(world.steps)
    curve, divergence = [_expected(tables.score, policy)], [_kl_from_uniform(policy)]
    rewards_before = _expected(tables.rewards, policy)
    for step in range(world.steps):
        prompts = everything if shape[0] == world.prompts else subsets.subset(shape[0], world.prompts)
        probabilities = policy.logits(prompts).softmax(-1)
        answers = sampled_answers(probabilities, samples.uniform(*shape))
        rewards = tables.visit(prompts, answers, step)
        advantages = advantages_of_batches(
            setting, rewards.flatten(1, 2), group_ids, world.reward_weights, world.families
        )
        gradient = logit_gradient(probabilities, answers, advantages.view(answers.shape))
        policy.climb(prompts, gradient, learning_rate)
        if step + 1 in evaluated:
            curve.append(_expected(tables.score, policy))
            divergence.append(_kl_from_uniform(policy))
    return WorldRun(
        world=world.name,
        label=setting.label,
        learning_rate=learning_rate,
        seeds=list(seeds),
        steps=evaluated,
        score=torch.stack(curve, 1).tolist(),
        kl_curve=torch.stack(divergence, 1).tolist(),
        rewards_before=rewards_before.tolist(),
        rewards_after=_expected(tables.rewards, policy).tolist(),
    )


def _evaluated_steps(steps: int) -> list[int]:
    """0, the last step, and up to `CURVE_POINTS - 2` in between."""
    spaces = min(steps, CURVE_POINTS - 1)
    return [round(steps * point / spaces) for point in range(spaces + 1)]


def _expected(table: Tensor, policy: Policy) -> Tensor:
    """(S, ...) mean over prompts of the expectation of an (S, P, C, ...) table under the policy."""
    probabilities = policy.logits().softmax(-1)
    weights = probabilities.flatten(1) / probabilities.shape[1]
    rows = table.reshape(*table.shape[:1], weights.shape[1], -1)
    return (weights.unsqueeze(1) @ rows).view(table.shape[0], *table.shape[3:])


def _kl_from_uniform(policy: Policy) -> Tensor:
    """(S,) mean over prompts of `sum pi log(pi C)`."""
    log_probabilities = policy.logits().log_softmax(-1)
    divergence = (log_probabilities.exp() * log_probabilities).sum(-1) + torch.tensor(
        float(log_probabilities.shape[-1]), dtype=torch.float64
    ).log()
    return divergence.mean(-1)
