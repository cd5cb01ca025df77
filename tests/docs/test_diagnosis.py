"""What the documentation says of rules, limits and keys is what the code has."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import pytest

from gd2po.core import METHODS
from gd2po.diagnosis import model
from gd2po.diagnosis.numbers import estimates, family_sample, sample, sums
from gd2po.diagnosis.numbers import families as numbers_of_families
from gd2po.diagnosis.verdict import conflicts, families, limits, rewards
from gd2po.diagnosis.views.json import schema_text

DOCS = Path(__file__).parents[2] / "docs"
DIAGNOSIS = (DOCS / "diagnosis.md").read_text(encoding="utf-8")
UNWRAPPED = " ".join(DIAGNOSIS.split())
LOGS = (DOCS / "reward-logs.md").read_text(encoding="utf-8")


def row(rule: str) -> str:
    return next(line for line in DIAGNOSIS.splitlines() if line.startswith(f"| `{rule}"))


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ("no_conflict", limits.LEAST_CONFLICT_RATE),
        ("no_conflict", limits.LEAST_CANCELLATION),
        ("trade_off", limits.SURE_ENOUGH),
        ("starved", limits.STARVED_RETAINED),
        ("dead", limits.DEAD_GROUPS),
        ("saturated", limits.SATURATED_ROLLOUTS),
        ("dominating", limits.DOMINATING_SHARE),
        ("snr_is_hard", limits.SAME_AS_HARD),
        ("wrongly_dropped", limits.WRONGLY_DROPPED),
    ],
)
def test_the_rules_are_documented_with_their_limits(rule: str, limit: float) -> None:
    assert f"{limit:.0%}".replace("%", " %") in row(rule)


def test_the_other_limits_are_those_of_the_text() -> None:
    for sign, rule in (("+", "noise"), ("−", "trade_off"), ("±", "unrelated")):
        assert f"{sign}{limits.LEAST_CORRELATION:g} " in row(rule)
    assert f"±{limits.SAME_INFORMATION:g}" in row("same_information")
    assert f"fewer than {limits.FEW_GROUPS} groups" in row("few_groups")
    assert f"{estimates.RESAMPLES:,} bootstrap resamples" in UNWRAPPED
    assert f"fewer than {estimates.FEWEST_GROUPS} groups" in UNWRAPPED
    assert f"into {sums.BLOCKS:,} random blocks" in UNWRAPPED
    assert f"at most {sample.MOST_STEPS} steps and {sample.MOST_ROLLOUTS:,} rollouts" in UNWRAPPED
    assert f"above {limits.HEAVY_TAIL:g}" in row("heavy_tail")
    assert f"{limits.LEAST_FAR:.1%}".replace("%", " %") in row("blind_spot")
    assert f"more than {limits.UNEVEN_AGREEMENT:g} " in row("uneven_agreement")
    assert f"{limits.UNEVEN_SURE:.0%}".replace("%", " %") in row("uneven_agreement")
    assert f"among at most {numbers_of_families.MOST_REWARDS} rewards" in UNWRAPPED
    assert f"at most {family_sample.MOST_ROLLOUTS:,} rollouts" in UNWRAPPED
    default = METHODS["gd2po"].options["snr_threshold"].default
    assert f"default of {default:g}:" in UNWRAPPED
    assert f"default threshold of {default:g} " in row("starved")


def test_every_rule_is_documented() -> None:
    source = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8") for module in (conflicts, families, rewards)
    )
    rules = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    assert len(rules) == 22
    assert all(f"`{rule}`" in DIAGNOSIS for rule in rules)


def test_every_key_of_the_json_is_documented() -> None:
    keys = set(json.loads(schema_text())["properties"])
    assert keys == set(re.findall(r"^\| `(\w+)` \|", LOGS.split("## The JSON")[1], re.MULTILINE)) | {
        "schema",
        "schema_version",
    }
    assert all(f"`{kind}`" in LOGS for kind in typing.get_args(model.VerdictKind))


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", DIAGNOSIS, re.DOTALL))
def test_the_code_blocks_run(code: str) -> None:
    exec(compile(code, "diagnosis.md", "exec"), {})
