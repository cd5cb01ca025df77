"""What an evaluation of the built-in task is scored with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gd2po.errors import ConfigError, DataFormatError, InvalidInputError
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
    for written in ({"think_length": {"target_words": 32}}, ["think_length.target_words=32"]):
        assert scoring_of(folder, written).reward_funcs[1](completions=LONG_THOUGHT) == [0.5]
    assert scoring_of(folder, "think_length.low=0.5").target_words == 16  # the run's other options stay


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("think_lenght.target_words=9", "names 'think_lenght', which is not scored. Did you mean 'think_length'?"),
        ("think_length.target_words=many", "think_length.target_words must be a number: got 'many'"),
        ("think_length.target=9", "`think_length` has no option `target`"),
    ],
)
def test_options_of_rewards_that_make_no_sense_are_named(written: str, message: str) -> None:
    with pytest.raises((ConfigError, InvalidInputError), match=re.escape(message)):
        scoring_of(None, written)


def test_options_in_a_run_folder_may_be_text_as_an_older_command_line_left_them(tmp_path: Path) -> None:
    text = '{"think_length": {"target_words": 16}}'
    folder = run_folder(tmp_path, dataset_name="builtin:toolcalls", reward_funcs=["think_length"], reward_kwargs=text)
    assert scoring_of(folder).target_words == 16


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
