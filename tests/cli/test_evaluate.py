"""`gd2po evaluate` from its command line to its files, on the built-in policy and small reward models."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from typer.testing import CliRunner, Result

from gd2po.cli import app
from gd2po.data import builtin_model
from gd2po.data.toolcalls.task import toolcall_examples
from gd2po.errors import ConfigError, DataFormatError, OutputWriteError
from gd2po.evaluation.generation.generate import TransformersPolicy

sys.path.insert(0, str(Path(__file__).parents[1] / "rewards"))
from reward_checkpoints import save_classifier, save_score_head


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def done(*arguments: str | Path) -> str:
    result = evaluate(*arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def refused(*arguments: str | Path) -> BaseException:
    result = evaluate(*arguments)
    assert result.exception is not None
    return result.exception


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two levels of API-Bank's form, with prompts that the built-in policy knows how to answer."""
    folder = tmp_path_factory.mktemp("api_bank")
    examples = [example for example, _ in zip(toolcall_examples("test", seed=3), range(40), strict=False)]
    rows = [
        {**{message["role"]: message["content"] for message in example.prompt}, "answer": [example.calls[0].as_json()]}
        for example in examples
        if len(example.calls) == 1
    ]
    (folder / "level-1-api_processed.json").write_text(json.dumps(rows[:6]))
    (folder / "level-2-api_processed.json").write_text(json.dumps(rows[6:10]))
    return folder


def api_bank(levels: Path, out: Path, *more: str) -> list[Any]:
    model = ("--model_name_or_path", "builtin:toolcalls", "--device", "cpu", "--batch_size", "4")
    options = ("--levels", "1,2", "--output_dir", out, "--max_completion_length", "64")
    return ["api-bank", "--dataset_name", levels, *options, *model, *more]


@pytest.fixture(scope="module")
def whole(levels: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("whole")
    return out, done(*api_bank(levels, out))


def test_an_evaluation_ends_with_a_table_and_every_output_as_json(whole: tuple[Path, str]) -> None:
    out, printed = whole
    assert "API-Bank" in printed
    for word in ("accuracy", "format", "length", "level 1", "level 2", "overall"):
        assert word in printed
    scores = json.loads((out / "scores.json").read_text())
    assert scores["settings"]["model_name_or_path"] == "builtin:toolcalls"
    assert [scores["scores"][part]["num_outputs"] for part in ("level 1", "level 2", "overall")] == [6, 4, 10]
    assert len(scores["outputs"]) == 10
    assert sum(output["correct"] for output in scores["outputs"]) == 10 * scores["scores"]["overall"]["accuracy"]
    assert 0 < scores["scores"]["overall"]["accuracy"] < 1
    assert all(output["raw_output"].startswith("<think>") for output in scores["outputs"])


def test_an_evaluation_that_was_stopped_goes_on_and_ends_the_same(
    levels: Path, whole: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, left = TransformersPolicy.complete, iter(range(2))

    def interrupted(self: Any, *arguments: Any) -> list[str]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return complete(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersPolicy, "complete", interrupted)
        result = evaluate(*api_bank(levels, tmp_path))
    assert result.exit_code == 130
    assert "Stopped. 8 of 10 outputs are saved. The same command resumes from there." in result.output
    assert "8 of 10 outputs are in" in done(*api_bank(levels, tmp_path))
    assert (tmp_path / "scores.json").read_text() == (whole[0] / "scores.json").read_text()


def test_a_finished_evaluation_loads_no_model_again(
    levels: Path, whole: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gd2po.evaluation.generation.policies.load_policy", lambda *args, **kwargs: pytest.fail("loaded")
    )
    assert "10 of 10 outputs are in" in done(*api_bank(levels, whole[0]))


def test_outputs_of_other_settings_are_not_mixed(levels: Path, whole: tuple[Path, str]) -> None:
    error = refused(*api_bank(levels, whole[0], "--max_completion_length", "65"))
    assert isinstance(error, ConfigError)
    assert "`max_completion_length` was 64, now 65" in str(error)
    assert "`prompts` was" in str(refused(*api_bank(levels, whole[0], "--eval_prompts", "2")))


def test_a_completion_ends_where_the_context_does(levels: Path, tmp_path: Path) -> None:
    printed = done(*api_bank(levels, tmp_path, "--max_completion_length", "4096", "--eval_prompts", "1"))
    assert "Completions end after" in printed
    assert "the model's context has 1024" in printed


@pytest.mark.parametrize("form", ["own", "list", "published"])
def test_outputs_made_elsewhere_are_scored(levels: Path, tmp_path: Path, form: str) -> None:
    rows = json.loads((levels / "level-1-api_processed.json").read_text())
    right = f"<think> t </think>\n<tool_call>\n{json.dumps(rows[1]['answer'][0])}\n</tool_call>"
    texts = {0: "nothing", 1: right}
    file = tmp_path / "outputs.json"
    if form == "own":
        file.write_text("".join(json.dumps({"key": f"1/{n}", "raw_output": text}) + "\n" for n, text in texts.items()))
    elif form == "list":
        file.write_text(json.dumps([{"level": 1, "index": n, "raw_output": text} for n, text in texts.items()]))
    else:
        file.write_text(json.dumps({f"Level1_{n}": {"raw_output": text} for n, text in texts.items()}))
    printed = done("api-bank", "--dataset_name", levels, "--levels", "1", "--outputs", file)
    assert "50.00 %" in printed
    assert "Excluded, without an output in the file: 4 of 6 prompts." in printed
    done("api-bank", "--dataset_name", levels, "--levels", "1", "--outputs", file, "--output_dir", tmp_path / "scored")
    scores = json.loads((tmp_path / "scored" / "scores.json").read_text())
    assert scores["scores"]["overall"] == {"num_outputs": 2, "accuracy": 0.5, "format": 0.5, "length": 0.0}
    assert scores["settings"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"key": "1/77", "raw_output": ""}', "line 1: there is no prompt '1/77' among the 6"),
        ('{"key": "1/0", "raw_output": ""}\n{"level": 1, "index": 0, "raw_output": ""}', "line 2: there is a second"),
        ('{"key": "1/0"}\n{}', "line 1: needs the text `raw_output`"),
        ('{"raw_output": ""}', "line 1: needs the text `raw_output`, and `key`"),
        ("[1]", "entry 0: must be an object with `raw_output`, got int"),
        ('{"key": "1/0", "raw_output": ""}\n{', "line 2 is not JSON"),
        ("[]", "holds no output"),
        ("", "holds no output"),
    ],
)
def test_a_file_of_outputs_of_another_form_is_named(levels: Path, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "outputs.jsonl"
    file.write_text(content)
    error = refused("api-bank", "--dataset_name", levels, "--levels", "1", "--outputs", file)
    assert isinstance(error, DataFormatError)
    assert message in str(error)


def test_a_model_or_outputs_have_to_be_given(levels: Path, tmp_path: Path) -> None:
    assert "Give either a policy (`model_name_or_path`)" in str(refused("api-bank", "--dataset_name", levels))
    both = refused("api-bank", "--dataset_name", levels, "--model_name_or_path", "m", "--outputs", "o")
    assert "Give either a policy" in str(both)
    assert "cannot read" in str(
        refused("api-bank", "--dataset_name", levels, "--levels", "1", "--outputs", tmp_path / "no")
    )
    assert "there is no file" in str(
        refused("api-bank", "--dataset_name", tmp_path, "--model_name_or_path", "builtin:toolcalls")
    )


def test_the_built_in_task_is_scored(tmp_path: Path) -> None:
    model = ("--model_name_or_path", "builtin:toolcalls", "--device", "cpu")
    printed = done("toolcalls", *model, "--eval_prompts", "12", "--output_dir", tmp_path)
    assert "exact_calls" in printed
    scores = json.loads((tmp_path / "scores.json").read_text())
    exact = sum(output["exact"] for output in scores["outputs"])
    assert scores["scores"]["exact_calls"] == pytest.approx(exact / 12)
    assert set(scores["scores"]) >= {"tool_call_correctness", "tool_call_format", "think_length"}
    rescored = done("toolcalls", "--eval_prompts", "12", "--outputs", tmp_path / "outputs.jsonl")
    assert f"{exact / 12:.4f}" in rescored


def test_sampled_outputs_are_scored_and_come_again(tmp_path: Path) -> None:
    """A third of the outputs is there already when the second evaluation begins."""
    model = ("--model_name_or_path", "builtin:toolcalls", "--device", "cpu")
    arguments = ["toolcalls", *model, "--eval_prompts", "12", "--batch_size", "4"]
    sampled = [*arguments, "--temperature", "1", "--output_dir"]
    assert "temperature 1" in done(*sampled, tmp_path / "one")
    (tmp_path / "two").mkdir()
    for name in ("outputs.jsonl", "outputs.settings.json"):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    lines = (tmp_path / "one" / "outputs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "two" / "outputs.jsonl").write_text("".join(lines[:4]))
    done(*sampled, tmp_path / "two")
    done(*arguments, "--temperature", "1", "--seed", "1", "--output_dir", tmp_path / "other")
    done(*arguments, "--output_dir", tmp_path / "greedy")
    texts = {
        name: {
            line["key"]: line["raw_output"]
            for line in json.loads((tmp_path / name / "scores.json").read_text())["outputs"]
        }
        for name in ("one", "two", "other", "greedy")
    }
    assert texts["two"] == texts["one"]
    assert len({tuple(texts[name][str(row)] for row in range(12)) for name in ("one", "other", "greedy")}) == 3
    assert "`temperature` must be 0" in str(refused(*arguments, "--temperature", "-1", "--output_dir", tmp_path / "no"))


def test_an_evaluation_that_was_killed_goes_on_and_ends_the_same(
    levels: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    """Killed by the system, at a batch's end: nothing of the process has a chance to clean up."""
    killed = (
        "import os, signal, sys; from gd2po.cli import main\n"
        "from gd2po.evaluation.generation.output_log import OutputLog\n"
        "append = OutputLog.append\n"
        "def dying(log, records):\n"
        "    append(log, records)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "OutputLog.append = dying\n"
        "main()"
    )
    command = [sys.executable, "-c", killed, "evaluate", *map(str, api_bank(levels, tmp_path))]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert len((tmp_path / "outputs.jsonl").read_text().splitlines()) == 4
    done(*api_bank(levels, tmp_path))
    assert (tmp_path / "scores.json").read_text() == (whole[0] / "scores.json").read_text()


def test_a_disk_that_fills_up_loses_no_output(levels: Path, whole: tuple[Path, str], tmp_path: Path) -> None:
    size = (whole[0] / "outputs.jsonl").stat().st_size
    scores = (whole[0] / "scores.json").stat().st_size
    assert size < scores
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
        error = refused(*api_bank(levels, tmp_path))
        assert isinstance(error, OutputWriteError)
        saved = len((tmp_path / "outputs.jsonl").read_text().splitlines())
        assert 0 < saved < 10
        assert f"{saved} records are safe in it. Free some space and run the same command" in str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (scores - 1, hard))
        error = refused(*api_bank(levels, tmp_path))
        assert isinstance(error, OutputWriteError)
        assert "The outputs are safe; run the same command again" in str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "scores.json").exists()
    assert "10 of 10 outputs are in" in done(*api_bank(levels, tmp_path))
    assert (tmp_path / "scores.json").read_text() == (whole[0] / "scores.json").read_text()


def test_prompts_that_the_model_has_no_form_or_no_room_for_are_refused(levels: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(builtin_model("builtin:toolcalls"), model)
    options = ("--model_name_or_path", model, "--device", "cpu")
    command = ["api-bank", "--dataset_name", levels, "--levels", "1", *options, "--output_dir"]
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 100}))
    error = refused(*command, tmp_path / "short")
    assert isinstance(error, DataFormatError)
    assert "The model's context has 100 tokens, and 3 of 6 prompts leave no room" in str(error)
    (model / "chat_template.jinja").unlink()
    error = refused(*command, tmp_path / "plain")
    assert isinstance(error, DataFormatError)
    assert "the tokenizer has no chat template" in str(error)


# --- safety ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def safety_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safety")
    for name, source in (("alpaca_test", "Stanford Alpaca"), ("pku_test", "PKU")):
        prompts = [[{"role": "user", "content": f"{name} question {n} " * (n + 1)}] for n in range(3)]
        rows = {"prompt": prompts, "data_source": [source] * 3, "reward_model": [{"style": "model"}] * 3}
        Dataset.from_dict(rows).to_parquet(folder / f"{name}.parquet")
    Dataset.from_dict({"prompt": ["not for evaluation"]}).to_parquet(folder / "alpaca_train.parquet")
    return folder


@pytest.fixture(scope="module")
def reward_models(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rewards")
    save_score_head(folder / "rm")
    save_classifier(folder / "cm")
    return f"useful={folder / 'rm'},harmless={folder / 'cm'}"


def safety(data: Path, rewards: str, out: Path, *more: str) -> list[Any]:
    model = ("--model_name_or_path", "builtin:toolcalls", "--device", "cpu", "--max_completion_length", "8")
    return ["safety", "--dataset_name", data, "--reward_models", rewards, "--output_dir", out, *model, *more]


def test_safety_is_the_mean_of_each_reward_per_data_set(safety_data: Path, reward_models: str, tmp_path: Path) -> None:
    printed = done(*safety(safety_data, reward_models, tmp_path / "one"))
    scores = json.loads((tmp_path / "one" / "scores.json").read_text())
    assert list(scores["scores"]) == ["Stanford Alpaca", "PKU"]
    for name, part in scores["scores"].items():
        mine = [output for output in scores["outputs"] if output["dataset"] == name]
        assert part["num_outputs"] == len(mine) == 3
        for reward in ("useful", "harmless"):
            mean = sum(output[reward] for output in mine) / 3
            assert part["means"][reward] == pytest.approx(mean)
            assert f"{mean:.4f}" in printed
        assert part["total"] == pytest.approx(sum(part["means"].values()))
    done(*safety(safety_data, reward_models, tmp_path / "two"))
    assert json.loads((tmp_path / "two" / "scores.json").read_text()) == scores


def test_scores_of_reward_models_are_kept_and_gone_on_with(
    safety_data: Path, reward_models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(*safety(safety_data, reward_models, tmp_path))
    first = (tmp_path / "scores.json").read_text()
    file = tmp_path / "reward-harmless.jsonl"
    file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:2]))
    loaded: list[str] = []
    from gd2po.rewards import RewardModel

    def spy(model: str, **options: Any) -> RewardModel:
        loaded.append(Path(model).name)
        return RewardModel(model, **options)

    monkeypatch.setattr("gd2po.evaluation.safety.RewardModel", spy)
    done(*safety(safety_data, reward_models, tmp_path))
    assert loaded == ["cm"]
    assert (tmp_path / "scores.json").read_text() == first


def test_long_prompts_are_cut_on_the_left(safety_data: Path, reward_models: str, tmp_path: Path) -> None:
    done(*safety(safety_data, reward_models, tmp_path, "--max_prompt_tokens", "4"))
    outputs = json.loads((tmp_path / "scores.json").read_text())["outputs"]
    assert len({output["raw_output"] for output in outputs}) == 1  # all that is left of each prompt is the turn's start


def test_wrong_reward_models_and_data_are_named(safety_data: Path, reward_models: str, tmp_path: Path) -> None:
    assert "neither a file nor a folder with test files" in str(
        refused(*safety(tmp_path / "none", reward_models, tmp_path / "o"))
    )
    save_classifier(tmp_path / "labels", num_labels=2)
    error = refused(*safety(safety_data, f"x={tmp_path / 'labels'}", tmp_path / "o", "--eval_prompts", "1"))
    assert "needs one label, and its configuration has 2" in str(error)
