"""Evaluations from Python, on the built-in policy and small reward models."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from gd2po.data import load_toolcalls
from gd2po.errors import ConfigError
from gd2po.evaluation import PolicyChoice, evaluate_api_bank, evaluate_safety, evaluate_toolcalls
from gd2po.evaluation.generation.generate import TransformersPolicy

sys.path.insert(0, str(Path(__file__).parents[2] / "rewards"))
from reward_checkpoints import save_classifier, save_score_head

POLICY = PolicyChoice("builtin:toolcalls", device="cpu", batch_size=4)


def write_answers(path: Path, count: int) -> None:
    """The reference answers of the first prompts of the built-in task, as outputs made elsewhere."""
    rows = list(load_toolcalls("test", count))
    lines = (json.dumps({"index": index, "raw_output": row["answer"]}) for index, row in enumerate(rows))
    path.write_text("\n".join(lines))


def test_the_built_in_task_gives_scores_outputs_and_a_file_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = evaluate_toolcalls(POLICY, eval_prompts=8, output_dir=tmp_path)
    assert capsys.readouterr().out == ""
    assert (evaluation.benchmark, evaluation.num_prompts, len(evaluation.outputs)) == ("toolcalls", 8, 8)
    exact = sum(output["exact"] for output in evaluation.outputs.values())
    assert evaluation.scores["exact_calls"] == pytest.approx(exact / 8)
    assert evaluation.policy == replace(POLICY, max_completion_length=128)
    assert evaluation.path == tmp_path / "scores.json"
    assert json.loads(evaluation.path.read_text())["scores"] == evaluation.scores


def test_reference_answers_are_exactly_right_and_nothing_is_written_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_answers(tmp_path / "outputs.jsonl", 6)
    evaluation = evaluate_toolcalls(outputs="outputs.jsonl", eval_prompts=9)
    assert evaluation.scores["exact_calls"] == 1.0
    assert (evaluation.num_prompts, len(evaluation.outputs)) == (9, 6)
    assert (evaluation.policy, evaluation.path) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs.jsonl"]


def test_an_interrupt_says_how_many_outputs_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete, left = TransformersPolicy.complete, iter(range(1))

    def interrupted(self: Any, *arguments: Any) -> list[str]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return complete(self, *arguments)

    monkeypatch.setattr(TransformersPolicy, "complete", interrupted)
    with pytest.raises(KeyboardInterrupt, match="^4 of 8 outputs are saved$"):
        evaluate_toolcalls(POLICY, eval_prompts=8, output_dir=tmp_path)
    assert len((tmp_path / "outputs.jsonl").read_text().splitlines()) == 4


def test_api_bank_is_scored_by_level(tmp_path: Path) -> None:
    call = {"name": "Search", "parameters": {"query": "rain"}}
    for level in (1, 2):
        rows = [{"system": "s", "user": "u", "answer": [call]}] * level
        (tmp_path / f"level-{level}-api_processed.json").write_text(json.dumps(rows))
    right = f"<think> t </think>\n<tool_call>\n{json.dumps(call)}\n</tool_call>"
    outputs = {"1/0": right, "2/0": right, "2/1": "nothing"}
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({key: {"raw_output": text} for key, text in outputs.items()}))
    evaluation = evaluate_api_bank(tmp_path, outputs=file, levels=[1, 2])
    accuracy = {part: scores.accuracy for part, scores in evaluation.scores.items()}
    assert accuracy == {"level 1": 1.0, "level 2": 0.5, "overall": pytest.approx(2 / 3)}
    assert [evaluation.outputs[key]["correct"] for key in outputs] == [True, True, False]


@pytest.fixture(scope="module")
def safety_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("safety") / "prompts.parquet"
    Dataset.from_dict({"prompt": [[{"role": "user", "content": f"question {n}"}] for n in range(3)]}).to_parquet(path)
    return path


def outputs_of(data: Path, path: Path) -> Path:
    lines = (json.dumps({"key": f"{data.stem}/{n}", "raw_output": f"answer {n}"}) for n in range(3))
    path.write_text("\n".join(lines))
    return path


def test_reward_models_score_outputs_made_elsewhere(safety_data: Path, tmp_path: Path) -> None:
    save_score_head(tmp_path / "rm")
    save_classifier(tmp_path / "cm")
    models = {"useful": str(tmp_path / "rm"), "harmless": str(tmp_path / "cm")}
    outputs = outputs_of(safety_data, tmp_path / "outputs.jsonl")
    evaluation = evaluate_safety(
        safety_data, models, outputs=outputs, output_dir=tmp_path / "out", reward_options={"device": "cpu"}
    )
    (scores,) = evaluation.scores.values()
    for name in models:
        mean = sum(output[name] for output in evaluation.outputs.values()) / 3
        assert scores.means[name] == pytest.approx(mean)
    assert evaluation.outputs["prompts/0"]["raw_output"] == "answer 0"
    with pytest.raises(ConfigError, match="`max_length` was None, now 16"):
        evaluate_safety(
            safety_data,
            models,
            outputs=outputs,
            output_dir=tmp_path / "out",
            reward_options={"device": "cpu", "max_length": 16},
        )


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, "`reward_models` is empty"),
        ({"sum": "m"}, "the name 'sum' is taken"),
        ({"raw_output": "m"}, "the name 'raw_output' is taken"),
        ({"a/b": "m"}, "must not be empty or hold a slash, got 'a/b'"),
        ({"": "m"}, "must not be empty or hold a slash, got ''"),
    ],
)
def test_rewards_have_names_that_files_and_tables_can_have(models: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate_safety("nowhere", models, outputs="outputs.jsonl", output_dir="out")


def test_scores_of_reward_models_need_a_folder(safety_data: Path) -> None:
    with pytest.raises(ConfigError, match="`output_dir` is missing"):
        evaluate_safety(safety_data, {"useful": "m"}, outputs="outputs.jsonl")
