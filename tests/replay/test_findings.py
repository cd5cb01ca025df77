"""What is said of a replay."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from replay_logs import fooled, open_log, write

from gd2po.core import Setting
from gd2po.replay import Estimate, Replay, replay
from gd2po.replay.findings import findings_of, headline_of

SETTINGS = [Setting.named(label, "test") for label in ("gdpo", "gd2po-hard", "rvpo")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    path = write(tmp_path_factory.mktemp("log") / "log.csv", fooled(12))
    log = open_log(path, rewards=["grader_a", "grader_b"])
    return replay(log, "quality", settings=SETTINGS, learning_rates=[0.3, 1.0, 3.0])


def changed(base: Replay, differences: dict[str, Estimate], **gold: Any) -> Replay:
    """The replay with other differences at the end, and other facts of its gold."""
    methods = [
        dataclasses.replace(method, difference=differences.get(method.label, method.difference), at_edge=False)
        for method in base.golds[0].methods
    ]
    return dataclasses.replace(base, golds=[dataclasses.replace(base.golds[0], methods=methods, **gold)])


UP, DOWN, NOISE = Estimate(0.1, 0.05, 0.15), Estimate(-0.1, -0.15, -0.05), Estimate(0.1, -0.1, 0.3)


def test_the_headline_names_who_is_above_and_who_below(base: Replay) -> None:
    both = changed(base, {"gd2po-hard": UP, "rvpo": DOWN})
    assert headline_of(both) == "On quality, gd2po-hard is above gdpo, rvpo is below"
    assert findings_of(both)[0].level == "watch"
    above = changed(base, {"gd2po-hard": UP, "rvpo": UP})
    assert headline_of(above) == "On quality, gd2po-hard and rvpo are above gdpo"
    assert findings_of(above)[0].level == "good"
    none = changed(base, {"gd2po-hard": NOISE, "rvpo": NOISE})
    assert headline_of(none) == "On quality, no method differs from gdpo beyond noise"


@pytest.mark.parametrize(
    ("prompts", "level", "text"), [(5, "act", "Too few for an interval"), (60, "watch", "widened")]
)
def test_few_labels_are_said_with_their_number(base: Replay, prompts: int, level: str, text: str) -> None:
    few = changed(base, {}, labels=2 * prompts, labelled_prompts=prompts)
    (finding,) = (one for one in findings_of(few) if "is known for" in one.title)
    assert (finding.level, finding.title) == (
        level,
        f"quality is known for {2 * prompts} rollouts of {prompts} prompts",
    )
    assert text in finding.text
    if prompts == 5:
        assert headline_of(few) == "Too few labelled prompts to tell the methods apart: it takes 8"


def test_held_out_rewards_come_with_what_they_cannot_show(base: Replay) -> None:
    gold = changed(base, {"gd2po-hard": UP, "rvpo": NOISE}).golds[0]
    held = dataclasses.replace(base, held_out=True, golds=[gold, dataclasses.replace(gold, gold="b")])
    assert headline_of(held) == "Of 2 rewards held out in turn, gd2po-hard raises 2 more than gdpo and 0 less"
    assert any("does not show which method serves what you want" in finding.text for finding in findings_of(held))


def test_a_single_reward_to_learn_from_is_said(base: Replay) -> None:
    single = changed(base, {}, rewards=["grader_a"])
    assert any(finding.title == "One reward is left to learn from" for finding in findings_of(single))
    assert not any(finding.title == "One reward is left to learn from" for finding in findings_of(base))


def test_a_choice_at_the_edge_of_the_grid_is_said(base: Replay) -> None:
    methods = [dataclasses.replace(one, at_edge=one.label == "rvpo") for one in base.golds[0].methods]
    edge = dataclasses.replace(base, golds=[dataclasses.replace(base.golds[0], methods=methods)])
    (finding,) = (one for one in findings_of(edge) if "at the edge of the grid" in one.title)
    assert finding.title == "1 learning rate lies at the edge of the grid"
    assert finding.text.startswith("rvpo on quality (")
