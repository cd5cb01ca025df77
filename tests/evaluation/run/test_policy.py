"""The choice of a policy, without one."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.errors import ConfigError, InvalidInputError
from gd2po.evaluation import PolicyChoice
from gd2po.evaluation.run.outputs import default_folder, require_one_source, with_longest_completion


@pytest.mark.parametrize("option", ["max_completion_length", "max_prompt_tokens", "batch_size"])
def test_a_length_below_1_is_refused_by_its_name(option: str) -> None:
    values: dict[str, Any] = {option: 0}
    with pytest.raises(InvalidInputError, match=f"`{option}` must be at least 1, got 0"):
        PolicyChoice("m", **values)


def test_the_longest_completion_is_the_benchmarks_unless_chosen() -> None:
    assert with_longest_completion(PolicyChoice("m"), "api-bank").max_completion_length == 4096
    assert with_longest_completion(PolicyChoice("m"), "toolcalls").max_completion_length == 128
    assert with_longest_completion(PolicyChoice("m", max_completion_length=7), "safety").max_completion_length == 7


def test_vllm_takes_more_prompts_at_once_unless_told() -> None:
    assert PolicyChoice("m").prompts_at_once == 16
    assert PolicyChoice("m", backend="vllm").prompts_at_once == 512
    assert PolicyChoice("m", backend="vllm", batch_size=3).prompts_at_once == 3


def test_settings_are_what_outputs_depend_on_and_not_where_they_are_made() -> None:
    here = PolicyChoice("m", device="cpu", batch_size=4).settings(["a"])
    assert here == PolicyChoice("m", device="cuda", batch_size=8).settings(["a"])
    assert here != PolicyChoice("m").settings(["b"])
    assert here != PolicyChoice("m", model_revision="v2").settings(["a"])


def test_greedy_and_sampled_outputs_of_any_model_have_folders_of_their_own() -> None:
    models = (PolicyChoice("org/m"), PolicyChoice("org/m", temperature=0.5), PolicyChoice("./x/"))
    folders = [default_folder("toolcalls", policy).as_posix() for policy in models]
    assert folders == ["runs/toolcalls-org-m", "runs/toolcalls-temperature-0.5-seed-0-org-m", "runs/toolcalls-x"]


def test_outputs_come_from_one_source() -> None:
    require_one_source(PolicyChoice("m"), None)
    require_one_source(None, "outputs.jsonl")
    for policy, outputs in ((None, None), (PolicyChoice("m"), "outputs.jsonl")):
        with pytest.raises(ConfigError, match=r"Give either a policy \(`model_name_or_path`\)"):
            require_one_source(policy, outputs)
