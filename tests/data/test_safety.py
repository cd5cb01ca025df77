from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from gd2po.data.safety import load_safety_prompts
from gd2po.errors import DataFormatError, InvalidInputError


def write(path: Path, **columns: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns).to_parquet(path)


def test_a_folder_gives_its_test_files_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path / "pku" / "test.parquet", prompt=["a", "b"], data_source=["PKU", "PKU"])
    write(tmp_path / "alpaca_test.parquet", prompt=["c"])
    write(tmp_path / "alpaca_train.parquet", prompt=["d"])
    prompts = load_safety_prompts(tmp_path)
    assert [(prompt.key, prompt.dataset, prompt.prompt) for prompt in prompts] == [
        ("alpaca_test/0", "alpaca_test", "c"),
        ("pku/test/0", "PKU", "a"),
        ("pku/test/1", "PKU", "b"),
    ]
    assert [prompt.key for prompt in load_safety_prompts(tmp_path, eval_prompts=1)] == ["alpaca_test/0", "pku/test/0"]


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    write(tmp_path / "mine.parquet", prompt=["a"])
    assert load_safety_prompts(tmp_path / "mine.parquet")[0].key == "mine/0"


def test_what_holds_no_prompts_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="is neither a file nor a folder with test files"):
        load_safety_prompts(tmp_path)
    write(tmp_path / "test.parquet", question=["a"])
    with pytest.raises(DataFormatError, match="needs the column `prompt`, found `question`"):
        load_safety_prompts(tmp_path)
    write(tmp_path / "test.parquet", prompt=["a", ""])
    with pytest.raises(DataFormatError, match="row 1: `prompt` is empty"):
        load_safety_prompts(tmp_path)
    with pytest.raises(InvalidInputError, match="`eval_prompts` must be at least 1"):
        load_safety_prompts(tmp_path, eval_prompts=0)


def test_the_real_prompts_of_the_safety_evaluation_load(real_data: Path) -> None:
    prompts = load_safety_prompts(real_data / "safe_alignment", eval_prompts=20)
    counts: dict[str, int] = {}
    for prompt in prompts:
        counts[prompt.dataset] = counts.get(prompt.dataset, 0) + 1
    assert counts == {"Stanford Alpaca": 20, "Anthropic/hh-rlhf": 20, "PKU-Alignment/PKU-SafeRLHF": 20}
