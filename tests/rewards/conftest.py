"""What the tests of the reward functions share."""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "tool_call_rewards.json"


@pytest.fixture(scope="session")
def golden_cases() -> list[dict[str, Any]]:
    """250 completions with their references and published scores."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))
