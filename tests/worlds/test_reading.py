"""Worlds from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gd2po.errors import ConfigError
from gd2po.worlds import WORLDS, BlindSpot, Flips, Gaussian, Goal, RareGross, Reward, World, read_world, world_of

MIXED = """
name: mixed3
title: Two graders of quality, each fooled by 8 % of the answers, and brevity, which opposes it
goals:
  - {name: q}
  - {name: brevity, own: -0.5, offset: 1, parts: {q: -0.5}}
rewards:
  - name: grader
    copies: 2
    family: quality
    errors:
      - {kind: gaussian, scale: 0.15}
      - {kind: rare_gross, size: 2, frequency: 0.08}
  - {name: brevity, goals: {brevity: 1}}
score: {q: 0.6666666666666666, brevity: 0.3333333333333333}
score_unit: sd
"""


def test_a_world_of_the_catalogue_can_be_written_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mixed3.yaml"
    path.write_text(MIXED, encoding="utf-8")
    assert read_world(path) == WORLDS["mixed3"]


def test_every_kind_of_value_can_be_declared() -> None:
    world = world_of(
        yaml.safe_load(
            """
            name: mine
            policy: features
            features: 8
            prompts: 10
            prompts_per_step: 5
            steps: 30
            group_size: 4
            learning_rates: [0.1, 1]
            goals: [{name: q, source: feature, feature: 3, steepness: 2}, {name: correct, own: 0, parts: {q: 1}, above: 0.7}]
            rewards:
              - {name: verifier, goals: {correct: 1}, threshold: 0.5, flips: {rate: 0.1, fresh: true}, missing: 0.2}
              - {name: judge, weight: 2, errors: [{kind: blind_spot, size: 1, feature: 1, threshold: 1.3}]}
            """  # noqa: E501
        ),
        "mine.yaml",
    )
    assert world == World(
        "mine",
        (
            Reward("verifier", {"correct": 1}, threshold=0.5, flips=Flips(0.1, fresh=True), missing=0.2),
            Reward("judge", errors=(BlindSpot(1, feature=1, threshold=1.3),), weight=2),
        ),
        goals=(Goal("q", "feature", feature=3, steepness=2), Goal("correct", own=0, parts={"q": 1}, above=0.7)),
        policy="features",
        features=8,
        prompts=10,
        prompts_per_step=5,
        steps=30,
        group_size=4,
        learning_rates=(0.1, 1),
    )
    assert world.learning_rate_grid == (0.1, 1)


REWARD = {"name": "grader", "errors": [{"kind": "gaussian", "scale": 0.3}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_sise": 4}, "`w.yaml` has no key 'group_sise'. Did you mean 'group_size'?"),
        ({"group_size": "many"}, "`w.yaml`: `group_size` must be a whole number of at least 2: got 'many'."),
        ({"name": None}, "`w.yaml`: `name` must be a text: got None."),
        ({"goals": {"q": 1}}, "`w.yaml`, goals needs a list: got {'q': 1}."),
        (
            {"goals": [{"name": "q", "sauce": "normal"}]},
            "`w.yaml`, goal 'q' has no key 'sauce'. Did you mean 'source'?",
        ),
        ({"goals": ["q"]}, "`w.yaml`, goal 'q' needs keys and values: got 'q'."),
        ({"rewards": [{"goals": {"q": 1}}]}, "`w.yaml`, reward None needs a key 'name': got goals."),
        ({"rewards": [{**REWARD, "weigth": 2}]}, "reward 'grader' has no key 'weigth'. Did you mean 'weight'?"),
        (
            {"rewards": [{"name": "grader", "errors": [{"kind": "gausian"}]}]},
            "`w.yaml`, reward 'grader': there is no error model 'gausian'. Did you mean 'gaussian'?",
        ),
        (
            {"rewards": [{"name": "grader", "errors": [{"kind": "gaussian", "scal": 1}]}]},
            "`w.yaml`, reward 'grader', error gaussian has no key 'scal'. Did you mean 'scale'?",
        ),
        (
            {"rewards": [{"name": "grader", "errors": [{"kind": "rare_gross", "size": 1}]}]},
            "`w.yaml`, reward 'grader', error rare_gross needs a key 'frequency': got size.",
        ),
        (
            {"rewards": [{"name": "grader", "threshold": 1, "flips": {"rat": 1}}]},
            "`w.yaml`, reward 'grader', flips has no key 'rat'. Did you mean 'rate'?",
        ),
        ({"rewards": [{"name": "grader", "errors": {}}]}, "`w.yaml`, reward 'grader', errors needs a list: got {}."),
    ],
)
def test_what_is_not_understood_is_refused_with_the_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        world_of({"name": "w", "rewards": [REWARD], **changes}, "w.yaml")
    assert message in str(caught.value)


def test_what_is_no_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a YAML file that declares a world"):
        read_world(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="needs keys and values: got \\[1\\]"):
        read_world(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a YAML file"):
        read_world(tmp_path / "broken.yaml")


def test_error_models_keep_their_order() -> None:
    world = world_of(yaml.safe_load(MIXED), "mixed")
    assert world.rewards[0].errors == (Gaussian(0.15), RareGross(2, 0.08))
