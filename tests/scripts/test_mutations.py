"""The changes that `scripts/mutants.py` tries."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from mutations import mutations


def changed_lines(source: str) -> list[str]:
    lines = []
    for mutation in mutations(source):
        difference = list(difflib.ndiff(source.splitlines(), mutation.source.splitlines()))
        lines += [line[2:].strip() for line in difference if line.startswith("+ ")]
    return lines


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("y = a < b", ["y = (a <= b)", "y = (a >= b)"]),
        ("y = a == b", ["y = (a != b)"]),
        ("y = a in b", ["y = (a not in b)"]),
        ("y = a < b < c", ["y = (a <= b < c)", "y = (a >= b < c)", "y = (a < b <= c)", "y = (a < b >= c)"]),
        ("y = mode == 'none'", ["y = (mode != 'none')", "y = mode == 'none mutated'"]),
        ("y = a + b", ["y = (a - b)"]),
        ("y = a / b", ["y = (a * b)"]),
        ("y += x", ["y -= x"]),
        ("y = a and b", ["y = (a or b)"]),
        ("y = not a", ["y = (a)"]),
        ("y = -a", ["y = (a)"]),
        ("y = 2", ["y = 3", "y = 1"]),
        ("y = 0", ["y = 1"]),
        ("y = 1e-8", ["y = 2e-08"]),
        ("y = True", ["y = False"]),
        ("y = a if c else b", ["y = a if True else b", "y = a if False else b"]),
        ("def f(x):\n    return x", ["return None"]),
        ("check(x)", ["pass"]),
        ("y = x.any()", ["y = x.all()"]),
        ("y = min(a, b)", ["y = max(a, b)"]),
        ("y = x.abs()", ["y = (x)"]),
        ("y = [a for a in b if a]", ["y = [a for a in b if True]"]),
        ("def f(x: Annotated[float, Range(0, n)]):\n    pass", ["def f(x: Annotated[float, Range(1, n)]):"]),
    ],
)
def test_each_kind_of_change_touches_one_place(source: str, expected: list[str]) -> None:
    assert changed_lines(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "import math",
        "raise ValueError(f'{n + 1} rows')",
        "y = f'{n + 1} rows'",
        "y = 'a' + b",
        "@dataclass(frozen=True)\nclass A:\n    x: int | None",
        "Kind = Literal['a', 'b']",
        "if TYPE_CHECKING:\n    x = 1",
    ],
)
def test_messages_types_and_imports_are_left_alone(source: str) -> None:
    assert mutations(source) == []


def test_columns_are_found_behind_characters_of_several_bytes() -> None:
    assert changed_lines("σ = 'é'; y = σ < b") == ["σ = 'é'; y = (σ <= b)", "σ = 'é'; y = (σ >= b)"]
