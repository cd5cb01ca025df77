"""Every method against the golden values of methods.json, and against the worked example of its description."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gd2po.core import METHODS, Condition, advantages, conditioned_rewards, reward_varies_mask

CASES = json.loads((Path(__file__).parents[2] / "golden" / "methods.json").read_text(encoding="utf-8"))
TRANSFORMS = ("conditioned", "subset")


def tensor(values: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of numbers in nested lists, None being NaN."""

    def filled(value: Any) -> Any:
        return [filled(item) for item in value] if isinstance(value, list) else math.nan if value is None else value

    return torch.tensor(filled(values), dtype=torch.float64).to(dtype)


def assert_near(actual: Tensor | None, expected: Any, tolerance: float, what: str) -> None:
    """Within the tolerance, relative to 1 + |value|; None for None, NaN for NaN."""
    if expected is None:
        assert actual is None, what
        return
    assert actual is not None, what
    wanted = tensor(expected)
    assert actual.shape == wanted.shape, what
    assert torch.equal(actual.isnan(), wanted.isnan()), what
    error = (actual.double() - wanted).abs().nan_to_num(nan=0.0) / (1 + wanted.abs().nan_to_num(nan=0.0))
    assert error.max() <= tolerance, what


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['method']}-{case['kind']}")
def test_golden_values_are_reproduced(case: dict[str, Any], dtype: torch.dtype, tolerance: float) -> None:
    rewards, group_ids = tensor(case["rewards"], dtype), torch.tensor(case["group_ids"])
    options = dict(case["options"])
    if case["method"] in TRANSFORMS:
        conditions = [Condition(*condition) for condition in options.pop("conditions")]
        otherwise = options.pop("otherwise")
        rewards = conditioned_rewards(rewards, conditions, otherwise=math.nan if otherwise is None else otherwise)
        assert_near(rewards, case["transformed_rewards"], tolerance, "transformed rewards")
    result = advantages(
        rewards,
        group_ids,
        method=case.get("base_method", case["method"]),
        whitening=case["whiten"],
        reward_weights=case["reward_weights"],
        token_counts=torch.tensor(case["completion_lengths"]),
        **options,
    )
    for field in ("advantages", "unwhitened", "components", "multipliers"):
        assert_near(getattr(result, field), case[field], tolerance, field)
    assert result.signal_mask.tolist() == case["signal"]
    varies = reward_varies_mask(rewards, group_ids, reward_weights=case["reward_weights"])
    assert varies.tolist() == case["reward_varies"]


def test_the_file_has_all_the_cases() -> None:
    assert len(CASES) == 280
    assert len({case["method"] for case in CASES}) == 14


A = [[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]]
B = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
WORKED_EXAMPLE = [
    # method, options, field, groups a and b; two numbers: the other two mirror them
    ("mo_grpo", {}, "advantages", (-2.3416, 0.5528), (-1.3416, -0.4472)),
    ("dvao", {}, "advantages", (-1.2792, -0.1827), (-1.3416, -0.4472)),
    ("dvao", {"reward_weights": [1 / 6, 1.0]}, "advantages", (-1.1459, 0.3820), (-1.3416, -0.4472)),
    ("corr_grpo", {}, "advantages", (-2.0572, -0.2939), (-1.5, -0.5)),
    ("gdpo_corr", {}, "advantages", (-1.2499, 0.2951), (-0.7161, -0.2387)),
    ("dara", {"variant": "symmetric"}, "advantages", (-1.5888, 0.5575), (-0.7735, -0.2578)),
    ("dara", {}, "advantages", (-1.5151, 0.5350, -0.4067, 1.6434), (-0.8955, -0.3413, 0.2129, 0.7671)),
    ("saw", {"reward_minima": [-3, 0]}, "unwhitened", (-1.8671, 1.1601), (-0.5303, -0.1768)),
    ("saw", {"reward_minima": [-3, 0], "mode": "grpo"}, "advantages", (-1.2117, 0.1785), (-1.1619, -0.3873)),
    ("sa_mrpo", {"reward_bounds": [[-3, 3], [0, 1]]}, "advantages", (-1.6985, 0.5960), (-0.8269, -0.2756)),
    ("sa_mrpo", {"reward_bounds": [[-3, 3], [0, 1]], "gamma": 1}, "advantages", (-1.6933, 0.7868), (-0.6799, -0.2266)),
    ("rvpo", {}, "advantages", (-1.4295, 0.2275, -0.5073, 1.6832), (-0.9937, -0.1822, 0.4123, 0.7897)),
    ("dr_grpo", {}, "advantages", (-3.5, -0.5), (-1.5, -0.5)),
    ("rloo", {}, "advantages", (-4.6667, -0.6667), (-2.0, -0.6667)),
    ("reinforce_plus_plus_baseline", {}, "advantages", (-1.6907, -0.2415), (-0.7246, -0.2415)),
]


@pytest.mark.parametrize(("method", "options", "field", "first", "second"), WORKED_EXAMPLE)
def test_the_worked_example_comes_out(method: str, options: Any, field: str, first: Any, second: Any) -> None:
    def whole(shown: tuple[float, ...]) -> list[float]:
        return list(shown) if len(shown) == 4 else [*shown, -shown[1], -shown[0]]

    result = advantages(torch.tensor(A + B).double(), torch.arange(2).repeat_interleave(4), method=method, **options)
    assert getattr(result, field).tolist() == pytest.approx(whole(first) + whole(second), abs=5.1e-5)


def test_every_method_of_the_table_has_golden_values() -> None:
    with_values = {case.get("base_method", case["method"]) for case in CASES} | {"gd2po"}  # of advantages.json
    ours = {"consensus"}  # nobody else's code computes it
    assert with_values == set(METHODS) - ours
    assert {row[0] for row in WORKED_EXAMPLE} == set(METHODS) - {"grpo", "gdpo", "gd2po"} - ours
