"""What the verdict says of families, on logs whose errors are known."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from gd2po.core.tails import tail_weight
from gd2po.diagnosis import Diagnosis, RewardLog, diagnose, print_diagnosis, render_html
from gd2po.diagnosis.model import Finding

GROUPS, SIZE = 200, 8
EVIL = "</pre><script>alert(1)</script>\x1b[31m"


def finding(diagnosis: Diagnosis, rule: str) -> Finding:
    return next(found for found in diagnosis.verdict.findings if found.rule == rule)


@pytest.fixture
def judges() -> dict[str, list[Any]]:
    """Two judges of one quality, of which the first is fooled by every answer that asks back, and brevity."""
    random = np.random.default_rng(3)
    quality = random.random(GROUPS * SIZE)
    asks = random.random(GROUPS * SIZE) < 0.06
    noise = random.normal(size=(2, GROUPS * SIZE))
    return {
        "group": np.repeat(np.arange(GROUPS), SIZE).tolist(),
        "fooled": (quality + 0.1 * noise[0] + 2 * asks).tolist(),
        "sound": (quality + 0.2 * noise[1]).tolist(),
        "brevity": (1 - quality + 0.35 * random.normal(size=GROUPS * SIZE)).tolist(),
        "prompt": ["Tell me."] * (GROUPS * SIZE),
        "completion": [f"asks back {EVIL}" if one else "an answer" for one in asks],
    }


@pytest.fixture
def of_judges(write_log: Any, judges: Any) -> Diagnosis:
    return diagnose(RewardLog(write_log(judges)))


def test_a_blind_spot_is_named_with_its_rollouts_and_the_families_to_paste(of_judges: Diagnosis) -> None:
    (family,) = of_judges.families
    assert (family.rewards, family.origin, family.world) == (["fooled", "sound"], "proposed", "mixed3")
    assert family.certainty > 0.99
    by_reward = {far.reward: far.above for far in family.far}
    assert 0.04 < by_reward["fooled"] < 0.07
    assert by_reward["sound"] < 0.005
    found = finding(of_judges, "blind_spot")
    assert (found.level, found.title) == ("act", "fooled may have a blind spot")
    assert 'reward_families: {"fooled": "family_1", "sound": "family_1"}' in found.advice
    assert "world mixed3 in docs/families.md" in found.advice
    assert len(family.rollouts) == 5
    for rollout in family.rollouts:
        assert rollout.reward == "fooled"
        assert rollout.completion.startswith("asks back")
        assert rollout.scores["fooled"] > 2 > rollout.scores["sound"]


def test_the_trade_off_beside_it_is_left_to_the_sum(of_judges: Diagnosis) -> None:
    assert of_judges.verdict.kind == "mixed"
    assert "Do not filter: leave them to the weighted sum" in finding(of_judges, "trade_off").advice


def test_consensus_takes_the_praise_away_that_gdpo_gives(of_judges: Diagnosis) -> None:
    by_name = {method.name: method for method in of_judges.families[0].methods}
    assert list(by_name) == ["gdpo", "gd2po-hard", "gd2po-families", "consensus"]
    assert (by_name["gdpo"].dropped, by_name["gdpo"].fooled_kept) == (0, 1)
    assert by_name["gdpo"].retained == pytest.approx(1)
    assert by_name["consensus"].fooled_advantage < by_name["gdpo"].fooled_advantage / 2
    assert by_name["gd2po-families"].dropped < by_name["gd2po-hard"].dropped


def test_the_tail_weight_is_the_one_that_trainers_log(of_judges: Diagnosis, judges: Any) -> None:
    rewards = torch.tensor([judges["fooled"], judges["sound"]], dtype=torch.float32).T
    expected = tail_weight(rewards, torch.tensor(judges["group"]), ["a", "a"])["a"]
    assert of_judges.families[0].tail.value == pytest.approx(expected, rel=1e-4)
    assert expected > 4


def test_hostile_excerpts_stay_text(of_judges: Diagnosis) -> None:
    page = render_html(of_judges)
    assert "<script>alert" not in page
    assert "asks back &lt;/pre&gt;&lt;script&gt;alert(1)" in page.split('id="families"')[1].split('id="threshold"')[0]
    out = io.StringIO()
    print_diagnosis(of_judges, Console(file=out))
    assert "asks back" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_declared_families_are_looked_at_and_nothing_else(write_log: Any, judges: Any) -> None:
    diagnosis = diagnose(RewardLog(write_log(judges)), reward_families={"fooled": "judge", "sound": "judge"})
    (family,) = diagnosis.families
    assert (family.name, family.origin, family.certainty) == ("judge", "declared", None)
    assert "If they do measure" not in finding(diagnosis, "blind_spot").advice


def test_a_judge_that_now_and_then_condemns_is_no_case_for_caution(write_log: Any, judges: Any) -> None:
    fooled = 2 * np.array([text.startswith("asks") for text in judges["completion"]])
    judges["fooled"] = (np.array(judges["fooled"]) - 2 * fooled).tolist()
    diagnosis = diagnose(RewardLog(write_log(judges)))
    assert "so leave it to the sum" in finding(diagnosis, "condemning").advice
    assert diagnosis.families[0].world == "neg3"


@pytest.mark.parametrize(("condemned_per_praised", "rule"), [(1, "blind_spot"), (5, "condemning")])
def test_a_judge_that_condemns_more_than_it_is_fooled_is_no_blind_spot(
    write_log: Any, judges: Any, condemned_per_praised: int, rule: str
) -> None:
    errs = np.array([text.startswith("asks") for text in judges["completion"]]).nonzero()[0]
    turned = np.zeros(GROUPS * SIZE)
    turned[errs[np.arange(len(errs)) % (condemned_per_praised + 1) > 0]] = 4  # from far above to far below
    judges["fooled"] = (np.array(judges["fooled"]) - turned).tolist()
    diagnosis = diagnose(RewardLog(write_log(judges)))
    (fooled, _) = diagnosis.families[0].far
    assert fooled.above > 0.005
    assert finding(diagnosis, rule)


def test_judges_that_agree_in_half_of_the_groups_alone_are_suspected(write_log: Any) -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, GROUPS, SIZE))
    second = second + np.where(np.arange(GROUPS) % 2, 0.8, -0.8)[:, None] * first
    columns = {
        "group": np.repeat(np.arange(GROUPS), SIZE).tolist(),
        "a": first.ravel().tolist(),
        "b": second.ravel().tolist(),
    }
    diagnosis = diagnose(RewardLog(write_log(columns)))
    assert diagnosis.families[0].origin == "suspected"
    assert "or two goals" in diagnosis.verdict.headline
    assert finding(diagnosis, "suspected_family").sureness > 0.99
