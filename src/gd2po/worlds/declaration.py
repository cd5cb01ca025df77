"""What a world is: prompts, answers, true goals, rewards with their errors, and the score that is really wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gd2po.core.checks import check_choice
from gd2po.errors import ConfigError, InvalidInputError, did_you_mean
from gd2po.worlds.checks import check_coefficients, check_count, check_learning_rate, check_number, check_text
from gd2po.worlds.error_models import BlindSpot, ErrorModel, Flips, Tilt

Policy = Literal["tabular", "features"]
LEARNING_RATES: dict[str, tuple[float, ...]] = {"tabular": (0.3, 1.0, 3.0), "features": (0.1, 0.3, 1.0)}
"""The grid that every method is tried on, unless a caller names another."""


@dataclass(frozen=True)
class Goal:
    """Something true of every answer: `offset + own * source + sum parts[g] * g`, or whether that is above a level."""

    name: str
    source: Literal["uniform", "normal", "feature"] = "uniform"
    """Drawn per answer: uniform on [0, 1], standard normal, or the sigmoid of a feature of the answer, which a policy
    of features can learn."""
    own: float = 1.0
    offset: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    """Goals declared before this one, by name, with their coefficients."""
    above: float | None = None
    """Makes the goal binary: 1 where the value is above this level, else 0."""
    feature: int = 0
    """Number of the feature, for source="feature"."""
    steepness: float = 1.0
    """Of the sigmoid."""

    def __post_init__(self) -> None:
        check_choice(self.source, "source", ("uniform", "normal", "feature"))
        check_text(self.name, "name")
        for name in ("own", "offset", "steepness"):
            check_number(getattr(self, name), name)
        check_coefficients(self.parts, "parts")
        if self.above is not None:
            check_number(self.above, "above")


@dataclass(frozen=True)
class Reward:
    """What a policy is trained on: a weighted sum of true goals, plus errors, perhaps made binary, flipped, missing."""

    name: str
    goals: Mapping[str, float] = field(default_factory=lambda: {"q": 1.0})
    errors: tuple[ErrorModel, ...] = ()
    """Of each kind at most one, except `blind_spot` and `tilt`."""
    threshold: float | None = None
    """Makes the reward binary: 1 where goals and errors add up to more than this, else 0."""
    flips: Flips | None = None
    """Of a binary reward."""
    missing: float = 0.0
    """Share of the visits at which the reward does not apply (NaN)."""
    family: str | None = None
    """Rewards of one family measure the same thing; None: a family of its own."""
    weight: float = 1.0
    copies: int = 1
    """How many rewards of this kind there are: alike, with errors of their own."""

    def __post_init__(self) -> None:
        check_text(self.name, "name")
        check_coefficients(self.goals, "goals")
        check_number(self.missing, "missing", 0, 1)
        check_number(self.weight, "weight")
        check_count(self.copies, "copies", 1)
        if self.threshold is not None:
            check_number(self.threshold, "threshold")
        if self.flips is not None and self.threshold is None:
            raise InvalidInputError(
                f"`flips` needs a binary reward: got no `threshold` for {self.name!r}. Set one: 0.5 for a goal that is "
                "0 or 1."
            )
        kinds = [error.kind for error in self.errors if not isinstance(error, (BlindSpot, Tilt))]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise InvalidInputError(f"`errors` takes one {kind} per reward: got {kinds.count(kind)}. Merge them.")

    @property
    def names(self) -> list[str]:
        """The name of each copy, numbered from 1 if there are several."""
        return [self.name] if self.copies == 1 else [f"{self.name}-{number + 1}" for number in range(self.copies)]

    @property
    def has_fresh_errors(self) -> bool:
        """Whether something is drawn at every visit, other than whether the reward is missing."""
        return any(error.fresh for error in self.errors) or (self.flips is not None and self.flips.fresh)


@dataclass(frozen=True)
class World:
    """A simulated setting with known truth. The same keys make a world in YAML: see `gd2po.worlds.reading`.

    Example:
        >>> from gd2po.worlds import World, Reward, RareGross
        >>> graders = Reward("grader", errors=(RareGross(size=3, frequency=0.08),), family="quality", copies=2)
        >>> [reward.name for reward in World("spikes", rewards=(graders,)).all_rewards]
        ['grader-1', 'grader-2']
    """

    name: str
    rewards: tuple[Reward, ...]
    title: str = ""
    goals: tuple[Goal, ...] = (Goal("q"),)
    score: Mapping[str, float] = field(default_factory=lambda: {"q": 1.0})
    """The truth: weights of the goals."""
    score_unit: Literal["raw", "sd"] = "raw"
    """"sd": each goal is divided by its standard deviation over all answers of the seed first."""
    policy: Policy = "tabular"
    """"tabular": logits of its own per prompt and answer. "features": linear in the features of an answer, shared by
    all prompts, so that errors generalise."""
    features: int = 32
    """Per answer, standard normal; for policy="features"."""
    prompts: int = 48
    answers: int = 24
    """Possible ones, per prompt."""
    group_size: int = 8
    """G, rollouts per prompt and step."""
    prompts_per_step: int = 48
    steps: int = 120
    learning_rates: tuple[float, ...] = ()
    """The grid that every method is tried on; empty: the policy's of `LEARNING_RATES`."""

    def __post_init__(self) -> None:
        check_text(self.name, "name")
        check_choice(self.score_unit, "score_unit", ("raw", "sd"))
        check_choice(self.policy, "policy", tuple(LEARNING_RATES))
        for name in ("features", "prompts", "steps", "prompts_per_step"):
            check_count(getattr(self, name), name, 1)
        for name in ("answers", "group_size"):
            check_count(getattr(self, name), name, 2)
        if self.prompts_per_step > self.prompts:
            raise InvalidInputError(
                f"`prompts_per_step` must be at most `prompts`, {self.prompts}: got {self.prompts_per_step}."
            )
        for rate in self.learning_rates:
            check_learning_rate(rate, "learning_rates")
        if not self.rewards:
            raise InvalidInputError("`rewards` needs at least one: got none.")
        self._check_names()
        self._check_features()

    @property
    def all_rewards(self) -> tuple[Reward, ...]:
        """The rewards one by one: K of them, copies numbered from 1, each with its family by name."""
        return tuple(
            replace(reward, name=name, family=reward.family or name, copies=1)
            for reward in self.rewards
            for name in reward.names
        )

    @property
    def families(self) -> tuple[str, ...]:
        """(K,) the family of each reward."""
        return tuple(reward.family or reward.name for reward in self.all_rewards)

    @property
    def reward_weights(self) -> tuple[float, ...]:
        """(K,) the weight of each reward."""
        return tuple(reward.weight for reward in self.all_rewards)

    @property
    def learning_rate_grid(self) -> tuple[float, ...]:
        """Its own learning rates, or those of its policy."""
        return self.learning_rates or LEARNING_RATES[self.policy]

    def _check_names(self) -> None:
        """Raise unless names are unique and goals are known where they are used."""
        for what, names in (
            ("goals", [goal.name for goal in self.goals]),
            ("rewards", [reward.name for reward in self.all_rewards]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InvalidInputError(f"`{what}` needs different names: got {twice[0]!r} more than once.")
        earlier: list[str] = []
        for goal in self.goals:
            _check_known(goal.parts, earlier, f"goal {goal.name!r}")
            earlier.append(goal.name)
        for reward in self.rewards:
            _check_known(reward.goals, earlier, f"reward {reward.name!r}")
        _check_known(self.score, earlier, "`score`")
        check_coefficients(self.score, "score")
        if not any(self.score.values()):
            raise InvalidInputError("`score` needs a goal with a weight: got none.")

    def _check_features(self) -> None:
        """Raise unless every feature that is named exists."""
        named = [(f"goal {goal.name!r}", goal.feature) for goal in self.goals if goal.source == "feature"]
        for reward in self.rewards:
            for error in reward.errors:
                feature = getattr(error, "feature", None)
                if feature is not None:
                    named.append((f"reward {reward.name!r}", feature))
        for owner, feature in named:
            if self.policy != "features":
                raise InvalidInputError(
                    f"{owner} looks at feature {feature}, and a tabular world has none. Set policy='features'."
                )
            check_count(feature, "feature", 0, self.features - 1)


def _check_known(goals: Collection[str], known: Collection[str], where: str) -> None:
    for goal in goals:
        if goal not in known:
            raise ConfigError(
                f"{where} names a goal {goal!r}, which is not declared before. {did_you_mean(goal, known)}"
            )
