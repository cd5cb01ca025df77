"""The worlds of docs/worlds.md. In all of them q is the true quality, and what is called a grader measures it."""

from __future__ import annotations

from typing import Final

from gd2po.worlds.declaration import Goal, Reward, World
from gd2po.worlds.error_models import BlindSpot, ErrorModel, Flips, Gaussian, RareGross, StudentT, Tilt


def _graders(*errors: ErrorModel, copies: int = 2) -> Reward:
    return Reward("grader", errors=errors, family="quality", copies=copies)


def _grader(name: str, *errors: ErrorModel) -> Reward:
    return Reward(name, errors=errors, family="quality")


_Q = Goal("q")
_CORRECT = Goal("correct", own=0, parts={"q": 1}, above=0.75)
_BREVITY = Goal("brevity", own=-0.5, offset=1, parts={"q": -0.5})

_TABULAR = (
    World("gauss", (_graders(Gaussian(0.3)),), "Two graders with Gaussian errors"),
    World("t2", (_graders(StudentT(df=2, scale=0.2)),), "Two graders with heavy-tailed errors"),
    World(
        "spiky1", (_graders(Gaussian(0.15), RareGross(1, 0.08)),), "Two graders, each fooled by 8 % of the answers: + 1"
    ),
    World(
        "spiky3",
        (_graders(Gaussian(0.15), RareGross(3, 0.08)),),
        "Two graders, each badly fooled by 8 % of the answers: + 3",
    ),
    World(
        "neg3", (_graders(Gaussian(0.15), RareGross(-3, 0.08)),), "Two graders, each condemning 8 % of the answers: − 3"
    ),
    World(
        "blind-spot",
        (_grader("A", Gaussian(0.1), BlindSpot(2, frequency=0.1)), _grader("B", Gaussian(0.3))),
        "A sharp grader with a blind spot and a blunt one without",
    ),
    World(
        "binary",
        (Reward("grader", {"correct": 1}, threshold=0.5, flips=Flips(0.15), family="quality", copies=2),),
        "Two binary graders that err in 15 % of the answers",
        goals=(_Q, _CORRECT),
    ),
    World(
        "spiky3-four",
        (_graders(Gaussian(0.15), RareGross(3, 0.08), copies=4),),
        "Four graders, each badly fooled by 8 % of the answers: + 3",
    ),
    World(
        "trade-off",
        (Reward("quality", {"q": 1}), Reward("style", {"style": 1})),
        "Two goals that oppose each other, both wanted",
        goals=(_Q, Goal("style", "normal", own=0.35, offset=1, parts={"q": -1})),
        score={"q": 1, "style": 1},
        score_unit="sd",
    ),
    World(
        "binary-trade-off",
        (Reward("correctness", {"correct": 1}), Reward("brevity", {"brevity": 1})),
        "Correctness against brevity, where correctness is all that counts",
        goals=(_Q, _CORRECT, _BREVITY),
        score={"correct": 1},
    ),
    World(
        "unrelated",
        (Reward("quality", {"q": 1}), Reward("other", {"other": 1})),
        "Two goals that have nothing to do with each other",
        goals=(_Q, Goal("other")),
        score={"q": 1, "other": 1},
        score_unit="sd",
    ),
    World(
        "mixed3",
        (_graders(Gaussian(0.15), RareGross(2, 0.08)), Reward("brevity", {"brevity": 1})),
        "Two graders of quality, each fooled by 8 % of the answers, and brevity, which opposes it",
        goals=(_Q, _BREVITY),
        score={"q": 2 / 3, "brevity": 1 / 3},
        score_unit="sd",
    ),
    World(
        "mixed4",
        (
            _graders(Gaussian(0.15), RareGross(2, 0.08)),
            Reward("style", {"style": 1}, (Gaussian(0.15), RareGross(2, 0.08)), family="style", copies=2),
        ),
        "Two goals that oppose each other, two graders of each, every one fooled by 8 % of the answers",
        goals=(_Q, Goal("style", own=0.4, offset=0.6, parts={"q": -0.6})),
        score={"q": 0.5, "style": 0.5},
        score_unit="sd",
    ),
)


def _generalising(name: str, title: str, *rewards: Reward) -> World:
    """A world in which the policy learns features, and quality is the sigmoid of the first of them."""
    goals = (Goal("q", "feature"),)
    return World(name, rewards, title, goals=goals, policy="features", prompts_per_step=16)


def _fooled(name: str, feature: int, size: float, threshold: float) -> Reward:
    return _grader(name, Gaussian(0.1), BlindSpot(size, feature=feature, threshold=threshold))


_GENERALISING = (
    _generalising(
        "feature-one-fooled",
        "A sharp grader fooled by a feature, and a blunt one that is not",
        _fooled("A", 1, 1, 1.3),
        _grader("B", Gaussian(0.3)),
    ),
    _generalising(
        "feature-both-fooled",
        "Two graders, each fooled by a feature of its own: + 1",
        _fooled("A", 1, 1, 1.3),
        _fooled("B", 2, 1, 1.3),
    ),
    _generalising(
        "feature-both-misled",
        "Two graders, each misled more often and less badly by a feature of its own: + 0.5",
        _fooled("A", 1, 0.5, 1),
        _fooled("B", 2, 0.5, 1),
    ),
    _generalising(
        "feature-three-misled",
        "Three graders, each misled by a feature of its own: + 0.5",
        _fooled("A", 1, 0.5, 1),
        _fooled("B", 2, 0.5, 1),
        _fooled("C", 3, 0.5, 1),
    ),
    _generalising(
        "feature-tilt",
        "Two graders that each like an irrelevant feature",
        _grader("A", Gaussian(0.1), Tilt(0.25, feature=1)),
        _grader("B", Gaussian(0.1), Tilt(0.25, feature=2)),
    ),
)

WORLDS: Final[dict[str, World]] = {world.name: world for world in (*_TABULAR, *_GENERALISING)}
"""Every packaged world by name, in the order of tables."""
