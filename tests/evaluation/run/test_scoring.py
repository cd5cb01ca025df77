"""What an evaluation of the built-in task is scored with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gd2po.errors import DataFormatError
from gd2po.evaluation.run.scoring import scoring_of
from gd2po.rewards import callable_name

LONG_THOUGHT = ["<think> " + "word " * 16 + "</think>"]


def run_folder(path: Path, **config: Any) -> str:
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    return str(path)


def names(functions: list[Any]) -> list[str]:
    return [callable_name(function) for function in functions]


def test_a_run_folder_is_scored_as_in_the_run(tmp_path: Path) -> None:
    folder = run_folder(
        tmp_path,
        dataset_name="builtin:toolcalls-easy",
        reward_funcs=["judge_a", "think_length", "mine.secret"],
        reward_kwargs={"think_length": {"target_words": 16}, "judge_a": {"noise": 0.0}, "mine.secret": {"x": 1}},
        eval_funcs=["answer_quality", "exact_calls", "theirs.hostile"],
        max_completion_length=64,
    )
    scoring = scoring_of(folder)
    assert names(scoring.reward_funcs) == ["judge_a", "think_length"]
    assert names(scoring.eval_funcs) == ["exact_calls", "answer_quality"]
    assert scoring.reward_funcs[1](completions=LONG_THOUGHT) == [1.0]
    assert (scoring.level, scoring.target_words, scoring.max_completion_length) == ("easy", 16, 64)
    assert any("mine.secret" in note for note in scoring.notes)
    assert scoring_of(folder, 32).reward_funcs[1](completions=LONG_THOUGHT) == [0.5]


@pytest.mark.parametrize("config", [None, {"dataset_name": "prompts.parquet", "reward_funcs": ["judge_a"]}])
def test_anything_else_is_scored_with_the_rewards_of_the_task(tmp_path: Path, config: dict[str, Any] | None) -> None:
    folder = str(tmp_path) if config is None else run_folder(tmp_path, **config)
    scoring = scoring_of(folder)
    assert names(scoring.reward_funcs) == ["tool_call_correctness", "tool_call_format", "think_length"]
    assert names(scoring.eval_funcs) == ["exact_calls"]
    assert (scoring.level, scoring.target_words, scoring.max_completion_length) == ("all", 32, None)
    assert not scoring.notes


@pytest.mark.parametrize("text", ["- a list", "{"])
def test_a_config_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DataFormatError, match="config.yaml"):
        scoring_of(str(tmp_path))
