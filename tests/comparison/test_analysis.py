"""What a comparison says about constructed runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gd2po.comparison.analysis import compare
from gd2po.comparison.model import Comparison
from gd2po.comparison.results import Run
from gd2po.comparison.run.plan import Plan
from gd2po.comparison.views.page import to_json
from gd2po.errors import ConfigError

VERIFIED = "verified"
"""A score that is 0 or 1 at every prompt, so a share of them."""

JITTER = (0.0, 0.01, -0.01, 0.02, -0.02, 0.005)
"""Of the seeds, the same for all methods: it cancels in paired differences."""

Maker = Callable[..., Comparison]


@pytest.fixture
def comparison(make_plan: Callable[..., Plan], make_run: Callable[..., Run]) -> Maker:
    """Methods that end at 0.7 plus a lift of their own, seed by seed; None for a run that failed."""

    def make(lifts: dict[str, list[float | None]], **changes: Any) -> Comparison:
        seeds = range(len(next(iter(lifts.values()))))
        plan = make_plan({name: {"option": name} for name in lifts}, seeds=list(seeds))
        runs = []
        for name, of_seed in lifts.items():
            for seed, lift in zip(seeds, of_seed, strict=True):
                if lift is None:
                    runs.append(Run(name, seed, "failed", "ValueError: odd <weights>"))
                else:
                    final = 0.7 + JITTER[seed] + lift
                    runs.append(make_run(name, seed, {VERIFIED: final, "brevity": final - 0.1}, shares={VERIFIED}))
        return compare(plan, runs, **changes)

    return make


def test_a_difference_that_every_seed_shows_is_beyond_noise(comparison: Maker) -> None:
    found = comparison(
        {"gdpo": [0.0] * 5, "better": [0.03, 0.04, 0.05, 0.04, 0.03], "same": [0.01, -0.01, 0, 0.02, -0.02]}
    )
    assert found.headline == "better is above gdpo in verified and brevity"
    better = next(method for method in found.methods if method.name == "better")
    assert better.difference[VERIFIED].value == pytest.approx(0.038)
    assert better.difference[VERIFIED].low == pytest.approx(0.03, abs=0.003)
    assert better.final[VERIFIED].value == pytest.approx(0.738)
    claim = next(finding for finding in found.findings if finding.title.startswith(VERIFIED))
    assert (claim.level, claim.title) == ("good", "verified: better better")
    assert "better: better +3.8 [" in claim.text
    assert "within noise: same 0 [" in claim.text


def test_the_jitter_of_the_seeds_cancels_in_pairs_only(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0] * 5, "better": [0.005] * 5})
    better = found.methods[1]
    spread = better.final[VERIFIED]
    assert spread.low is not None
    assert spread.low < 0.70
    assert better.difference[VERIFIED].low == pytest.approx(0.005)
    assert better.difference[VERIFIED].beyond_noise


def test_a_loss_is_said_as_plainly(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0] * 5, "worse": [-0.03, -0.04, -0.05, -0.04, -0.03]})
    assert "worse is below gdpo in verified" in found.headline
    assert next(finding for finding in found.findings if finding.title.startswith(VERIFIED)).level == "act"


def test_noise_is_called_noise(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0] * 5, "same": [0.01, -0.01, 0.0, 0.02, -0.02]})
    assert found.headline == "No method differs from gdpo beyond noise"
    titles = [finding.title for finding in found.findings]
    assert "verified: no difference beyond noise" in titles
    assert "2 differences were looked at" in titles


def test_few_seeds_settle_nothing_however_they_agree(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0] * 3, "better": [0.2, 0.2, 0.21]})
    assert found.headline == "Too few seeds to tell the methods apart: it takes 5"
    text = next(finding.text for finding in found.findings if finding.title == "verified: not settled by 3 seeds")
    assert "All 3 seeds point the same way for better, which happens by chance once in 4" in text


def test_one_seed_has_no_interval(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0], "other": [0.1]})
    assert found.methods[1].difference[VERIFIED].low is None
    assert "verified: not settled by 1 seed" in [finding.title for finding in found.findings]


def test_a_failed_run_is_said_first_and_left_out_of_its_pair(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0, None, 0.0], "other": [0.1, 0.1, None]})
    first, second = found.findings[:2]
    assert (first.title, second.title) == ("gdpo failed with seed 1", "other failed with seed 2")
    assert "ValueError: odd <weights>" in first.text
    assert found.methods[1].seed_differences[VERIFIED] == {0: pytest.approx(0.1)}
    assert found.methods[1].final[VERIFIED].seeds == 2


def test_a_method_with_too_few_seeds_does_not_silence_the_others(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0] * 5, "better": [0.05] * 5, "torn": [0.05, 0.05, None, 0.05, 0.05]})
    claim = next(finding for finding in found.findings if finding.title.startswith(VERIFIED))
    assert claim.title == "verified: better better"
    assert "too few seeds to tell: torn +5.0" in claim.text


def test_a_comparison_without_any_number_still_says_why(comparison: Maker) -> None:
    found = comparison({"gdpo": [None], "other": [None]})
    assert found.headline == "No run has come to its end"
    assert found.metrics == []
    alone = comparison({"gdpo": [None], "other": [0.1]})
    assert alone.headline.startswith("Nothing can be compared with gdpo")


def test_the_target_is_most_of_what_the_baseline_gains(comparison: Maker) -> None:
    found = comparison({"gdpo": [0.0, -0.01, 0.01], "fast": [0.3] * 3, "slow": [-0.15] * 3})
    assert found.targets[VERIFIED] == pytest.approx(0.66)
    baseline, fast, slow = (method.steps_to_target[VERIFIED] for method in found.methods)
    assert (baseline.runs, baseline.of, baseline.median_step) == (3, 3, pytest.approx(16.0))
    assert fast.median_step == pytest.approx(6.4)
    assert (slow.runs, slow.median_step) == (0, None)


def test_a_named_target_wins_and_an_unknown_one_is_refused(comparison: Maker) -> None:
    lifts: dict[str, list[float | None]] = {"gdpo": [0.0], "other": [0.0]}
    assert comparison(lifts, targets={"brevity": 0.55}).targets["brevity"] == 0.55
    with pytest.raises(ConfigError, match="`targets`: there is no score 'brevty'. Did you mean 'brevity'"):
        comparison(lifts, targets={"brevty": 0.5})


def test_no_target_without_a_gain(comparison: Maker) -> None:
    found = comparison({"gdpo": [-0.3], "other": [0.1]})
    assert found.targets == {VERIFIED: None, "brevity": None}
    assert found.methods[1].steps_to_target == {}


def test_a_starved_reward_is_said(make_plan: Callable[..., Plan], make_run: Callable[..., Run]) -> None:
    plan = make_plan(["gdpo", "gd2po-hard"], seeds=[0])
    starving = {"filtered_rate": 0.4, "retained/brevity": 0.6, "retained_negative/brevity": 0.2}
    runs = [make_run("gdpo", 0, {"brevity": 0.7}), make_run("gd2po-hard", 0, {"brevity": 0.7}, filter=starving)]
    found = compare(plan, runs)
    assert "gd2po-hard starves a reward" in [finding.title for finding in found.findings]
    assert [method.keep_rate for method in found.methods] == [1.0, pytest.approx(0.6)]


def test_unlike_prompts_are_noticed(make_plan: Callable[..., Plan], make_run: Callable[..., Run]) -> None:
    plan = make_plan(["gdpo", "grpo"], seeds=[0])
    runs = [make_run("gdpo", 0, {"brevity": 0.7}), make_run("grpo", 0, {"brevity": 0.7})]
    assert compare(plan, runs).same_prompts
    runs[1] = dataclasses.replace(runs[1], prompts_digest="others")
    found = compare(plan, runs)
    assert not found.same_prompts
    assert found.findings[0].title == "The methods did not train on the same prompts"


def test_the_json_holds_every_number(comparison: Maker) -> None:
    document = json.loads(to_json(comparison({"gdpo": [0.0, 0.0], "other": [0.1, None]})))
    assert document["schema"] == "gd2po.comparison"
    assert {field.name for field in dataclasses.fields(Comparison)} < set(document)
    other = document["methods"][1]
    assert other["seeds"] == [0]
    assert other["failed"] == [{"seed": 1, "error": "ValueError: odd <weights>"}]
    assert other["final"][VERIFIED] == {"value": pytest.approx(0.8), "low": None, "high": None, "seeds": 1}
    assert len(other["curves"]["brevity"]) == 3


def test_every_key_of_the_json_is_documented(comparison: Maker) -> None:
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    document = json.loads(to_json(comparison({"gdpo": [0.0], "other": [0.1]})))
    for key in [*document, *document["methods"][0]]:
        assert f"`{key}`" in page, key
