"""The page on replays: its code runs, its lists are those of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gd2po.replay import GoldNumbers, MethodOnGold, Replay
from gd2po.replay.analysis import DISTANCES, LEARNING_RATES, STEPS
from gd2po.replay.findings import FEW_PROMPTS
from gd2po.replay.learning import FEWEST_GROUPS, MOST_REPEATS
from gd2po.replay.model import FEWEST_PROMPTS

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
JSON = PAGE.split("## The JSON")[1]


def test_every_key_of_the_json_is_documented() -> None:
    named = set(re.findall(r"`(\w+)`", JSON))
    for kind in (Replay, GoldNumbers, MethodOnGold):
        assert {field.name for field in fields(kind)} - named == set()


def test_the_code_runs() -> None:
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "replay.md", "exec"), {})


def test_numbers_are_those_of_the_code() -> None:
    assert f"{STEPS} steps." in PAGE
    assert f"fewer than {FEWEST_GROUPS:,} groups the learning is repeated, up to {MOST_REPEATS} times" in PAGE
    assert f"({', '.join(f'{rate:g}' for rate in LEARNING_RATES)},\n" in PAGE
    assert f"**At {', '.join(f'{distance:g}' for distance in DISTANCES)} nats**" in PAGE
    assert f"with fewer than {FEWEST_PROMPTS} labelled prompts" in PAGE
    assert f"with fewer than {FEW_PROMPTS} the page says so" in PAGE.replace("\n  ", " ")
