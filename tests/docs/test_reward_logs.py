"""What the page on reward logs says is what the readers do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gd2po.logs import names
from gd2po.logs.cells import MISSING
from gd2po.logs.dialects import DIALECTS
from gd2po.logs.run_settings import KEY, MOST_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "reward-logs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_code_blocks_run(code: str) -> None:
    exec(compile(code, "reward-logs.md", "exec"), {})


def test_every_dialect_has_a_row_in_the_order_of_the_table() -> None:
    formats = PAGE.split("## Formats")[1].split("\n**TRL**")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*?\|(.*?)\|", formats, re.MULTILINE)
    assert [name for name, _ in rows] == [dialect.name for dialect in DIALECTS]
    for (_, columns), dialect in zip(rows, DIALECTS, strict=True):
        documented = {name.replace("<name>", "x") for name in re.findall(r"`([^`]+)`", columns)}
        assert dialect.recognises(documented)
        assert not documented or not any(dialect.recognises(documented - {name}) for name in documented)


@pytest.mark.parametrize(
    ("part", "known"),
    [
        ("step", names.STEP_NAMES),
        ("group", names.GROUP_NAMES),
        ("prompt", names.PROMPT_NAMES),
        ("completion", names.COMPLETION_NAMES),
        ("length", names.LENGTH_NAMES),
    ],
)
def test_the_names_in_the_schema_are_known(part: str, known: tuple[str, ...]) -> None:
    row = next(line for line in PAGE.split("## The schema")[1].splitlines() if line.startswith(f"| {part} |"))
    documented = re.findall(r"`(\w+)`", row.split("|")[2])
    assert len(documented) > 3
    assert set(documented) <= set(known)


def test_the_words_for_nothing_are_those_of_the_reader() -> None:
    sentence = PAGE.split("**Does not apply**")[1].split(" in any case")[0]
    assert {word.lower() for word in re.findall(r"`([^`]+)`", sentence)} == set(MISSING) - {""}


def test_the_key_and_the_limit_of_the_settings_are_those_of_the_code() -> None:
    assert f"`{KEY.decode()}`" in PAGE
    assert f"above {MOST_BYTES >> 20} MiB" in PAGE
