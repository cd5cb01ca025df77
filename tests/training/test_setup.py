from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from gd2po.errors import ConfigError, DataFormatError, InvalidInputError
from gd2po.rewards import exact_calls
from gd2po.training import setup
from gd2po.training.arguments import RunArguments


def test_built_in_rewards_come_by_name_with_their_options() -> None:
    run = RunArguments(
        reward_funcs=["tool_call_format", "think_length"], reward_kwargs={"think_length": {"target_words": 4}}
    )
    format_reward, length = setup.load_reward_funcs(run)
    assert format_reward.__name__ == "tool_call_format"
    assert length(["<think> one two </think>"]) == [0.5]


@pytest.mark.parametrize(
    "written", ['{"think_length": {"target_words": 2}}', "think_length.target_words=2", ["think_length.target_words=2"]]
)
def test_options_may_be_text(written: Any) -> None:
    run = RunArguments(reward_funcs=["think_length"], reward_kwargs=written)
    assert setup.load_reward_funcs(run)[0](["<think> one two </think>"]) == [1.0]


@pytest.mark.parametrize("field", ["reward_kwargs", "eval_kwargs"])
def test_options_that_are_none_are_refused_before_anything_is_loaded(field: str) -> None:
    with pytest.raises(ConfigError, match=f"`{field}` needs options by function, .*: got 3 for 'think_length'"):
        RunArguments(eval_prompts=1, **{field: {"think_length": 3}})


def test_options_go_by_the_name_of_the_log_too_where_it_is_of_one_function() -> None:
    path = "gd2po.rewards.think_length"
    run = RunArguments(reward_funcs=[path], reward_kwargs="think_length.target_words=2")
    assert setup.load_reward_funcs(run)[0](["<think> one two </think>"]) == [1.0]
    both = {"think_length": {"target_words": 2}, path: {"low": 0.5}}
    with pytest.raises(ConfigError, match="has 'gd2po.rewards.think_length' twice, once without its module"):
        setup.load_reward_funcs(RunArguments(reward_funcs=[path], reward_kwargs=both))
    with pytest.raises(ConfigError, match="names 'tink_length', which .* Did you mean 'think_length'?"):
        setup.load_reward_funcs(RunArguments(reward_funcs=[path], reward_kwargs="tink_length.target_words=2"))


def test_a_reward_of_ones_own_is_found_beside_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def brevity(completions, **kwargs):\n    return [0.5] * len(completions)\n"
    (tmp_path / "my_own_rewards.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (brevity,) = setup.load_reward_funcs(RunArguments(reward_funcs=["my_own_rewards.brevity"]))
    assert brevity(["a", "b"]) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (RunArguments(), ConfigError, "`reward_funcs` is missing"),
        (RunArguments(reward_funcs=["think_lenght"]), ConfigError, "Did you mean 'think_length'"),
        (RunArguments(reward_funcs=["zzz"]), ConfigError, "Built in are: tool_call_correctness"),
        (RunArguments(reward_funcs=["no_such_module_here.f"]), ConfigError, "cannot be imported"),
        (RunArguments(reward_funcs=["json.no_such_function"]), ConfigError, "cannot be imported"),
        (
            RunArguments(reward_funcs=["think_length"], reward_kwargs={"other": {}}),
            ConfigError,
            "names 'other', which is not among `reward_funcs`",
        ),
        (
            RunArguments(reward_funcs=["think_length"], reward_kwargs={"think_length": {"target": 3}}),
            InvalidInputError,
            "has no option `target`",
        ),
    ],
)
def test_a_mistake_about_rewards_is_named(run: RunArguments, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        setup.load_reward_funcs(run)


def scored_by(*names: str, **options: Any) -> RunArguments:
    return RunArguments(reward_funcs=["think_length"], eval_funcs=list(names), eval_prompts=8, **options)


def load_eval_funcs(run: RunArguments) -> list[Any]:
    return setup.load_eval_funcs(run, setup.load_reward_funcs(run))


def test_evaluation_functions_come_by_name_with_their_options() -> None:
    run = scored_by(
        "exact_calls", "tool_call_correctness", eval_kwargs='{"tool_call_correctness": {"low": 0, "high": 1}}'
    )
    exact, correctness = load_eval_funcs(run)
    assert exact is exact_calls
    assert correctness.__name__ == "tool_call_correctness"
    assert correctness(["no call"], ['<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>']) == [0.0]
    assert load_eval_funcs(RunArguments(reward_funcs=["think_length"])) == []


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (scored_by("exact_cals"), ConfigError, "no evaluation function 'exact_cals'. Did you mean 'exact_calls'"),
        (scored_by("no_such_module_here.f"), ConfigError, "Evaluation function .* cannot be imported"),
        (scored_by("think_length"), ConfigError, "`eval_funcs`: 'think_length' is also the name of a reward function"),
        (scored_by("gd2po.rewards.think_length"), ConfigError, "is also the name of a reward function"),
        (scored_by("exact_calls", "gd2po.rewards.exact_calls"), ConfigError, "'exact_calls' is the name of two"),
        (scored_by("exact_calls", eval_kwargs={"x": {}}), ConfigError, "not among `eval_funcs`. There are: exact"),
        (scored_by(eval_kwargs={"x": {}}), ConfigError, "which is not among `eval_funcs`: it names none"),
        (scored_by("exact_calls", eval_kwargs={"exact_calls": {"low": 1}}), InvalidInputError, "has no option `low`"),
        (
            RunArguments(reward_funcs=["think_length"], eval_funcs="exact_calls", eval_prompts=8),  # type: ignore[arg-type]
            ConfigError,
            r"`eval_funcs` must be a list: got 'exact_calls'. Write \[exact_calls\]",
        ),
    ],
)
def test_a_mistake_about_evaluation_functions_is_named(run: RunArguments, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_eval_funcs(run)


def test_evaluation_functions_need_prompts_to_score() -> None:
    with pytest.raises(ConfigError, match="`eval_funcs` needs held-out prompts: set `eval_prompts`"):
        RunArguments(eval_funcs=["exact_calls"])


def test_a_column_that_an_evaluation_function_needs_is_missed_before_training() -> None:
    prompts = Dataset.from_dict({"prompt": ["a"], "hint": ["b"]})
    with pytest.raises(ConfigError, match="'exact_calls' needs the column `answer` .* have `prompt`, `hint`"):
        setup.require_readable([exact_calls], prompts)

    def judge(prompts: Any, completions: Any, hint: Any, *, scale: float = 1.0, **columns: Any) -> list[float]:
        return [scale] * len(completions)

    setup.require_readable([judge], prompts)


def test_a_file_of_prompts_is_read_and_cut_to_size(tmp_path: Path) -> None:
    Dataset.from_dict({"prompt": ["a", "b", "c"], "hint": [1, 2, 3]}).to_parquet(tmp_path / "p.parquet")
    rows = setup.load_train_prompts(RunArguments(dataset_name=str(tmp_path / "p.parquet"), dataset_size=2))
    assert rows["prompt"] == ["a", "b"]
    assert rows["hint"] == [1, 2]


def test_held_out_prompts_of_the_built_in_task_are_its_test_split() -> None:
    run = RunArguments(dataset_name="builtin:toolcalls", eval_prompts=32, dataset_size=32)
    held_out = setup.load_held_out_prompts(run)
    train = setup.load_train_prompts(run)
    assert len(held_out) == len(train) == 32
    assert not {str(prompt) for prompt in held_out["prompt"]} & {str(prompt) for prompt in train["prompt"]}


def test_held_out_prompts_may_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    Dataset.from_dict({"prompt": ["x"]}).to_json(tmp_path / "held.jsonl")
    run = RunArguments(dataset_name="p.parquet", eval_prompts=1, eval_dataset_name=str(tmp_path / "held.jsonl"))
    assert setup.load_held_out_prompts(run)["prompt"] == ["x"]


def test_training_prompts_never_pass_for_held_out_ones() -> None:
    with pytest.raises(ConfigError, match="needs prompts that are not trained on"):
        setup.load_held_out_prompts(RunArguments(dataset_name="p.parquet", eval_prompts=8))


def test_without_prompts_to_score_nothing_is_loaded() -> None:
    assert setup.load_held_out_prompts(RunArguments(dataset_name="nowhere")) is None


def test_a_missing_column_and_an_empty_data_set_are_named(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataFormatError, match="needs the column `prompt`, found `text`"):
        setup.load_train_prompts(RunArguments(dataset_name=str(tmp_path / "other.parquet")))
    Dataset.from_dict({"prompt": ["a"]}).select([]).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(DataFormatError, match="is empty"):
        setup.load_train_prompts(RunArguments(dataset_name=str(tmp_path / "empty.parquet")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "`dataset_name` is missing"),
        ("missing.parquet", "there is no file 'missing.parquet'"),
        ("builtin:toolcall", "There is no built-in task 'builtin:toolcall'. Built in: builtin:toolcalls"),
    ],
)
def test_prompts_that_cannot_be_found_are_named(name: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setup.load_train_prompts(RunArguments(dataset_name=name))
