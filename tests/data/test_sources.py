from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset

from gd2po.data import builtin_model, has_splits, load_prompts
from gd2po.errors import DataFormatError

ANSWER = "<think> t </think>\n<response> r </response>"


def test_the_schema_of_verl_becomes_prompt_and_answer(tmp_path: Path) -> None:
    rows = {"prompt": [[{"role": "user", "content": "hi"}]], "reward_model": [{"ground_truth": ANSWER}]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rl.parquet")
    loaded = load_prompts(str(tmp_path / "rl.parquet"))
    assert loaded.column_names == ["prompt", "answer"]
    assert loaded[0] == {"prompt": [{"role": "user", "content": "hi"}], "answer": ANSWER}


def test_the_schema_of_verl_without_references_becomes_prompts(tmp_path: Path) -> None:
    rows = {
        "prompt": [[{"role": "user", "content": "hi"}]],
        "reward_model": [{"style": "model"}],
        "data_source": ["Alpaca"],
        "extra_info": [{"index": 0}],
    }
    Dataset.from_dict(rows).to_parquet(tmp_path / "rl.parquet")
    loaded = load_prompts(str(tmp_path / "rl.parquet"))
    assert loaded[0] == {"prompt": [{"role": "user", "content": "hi"}], "data_source": "Alpaca"}


@pytest.mark.parametrize("suffix", ["parquet", "json", "jsonl", "csv"])
def test_any_column_of_a_file_is_kept_for_the_rewards(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    rows = Dataset.from_dict({"prompt": ["a", "b"], "solution": ["1x", "2x"]})
    writer = {"parquet": rows.to_parquet, "csv": rows.to_csv}.get(suffix, rows.to_json)
    writer(path)
    loaded = load_prompts(str(path))
    assert loaded["prompt"] == ["a", "b"]
    assert loaded["solution"] == ["1x", "2x"]
    assert not has_splits(str(path))


def test_a_folder_gives_the_split_that_was_asked_for(tmp_path: Path) -> None:
    for split in ("train", "test"):
        Dataset.from_dict({"prompt": [split]}).to_parquet(tmp_path / f"{split}.parquet")
    assert has_splits(str(tmp_path))
    assert load_prompts(str(tmp_path), "test")["prompt"] == ["test"]
    with pytest.raises(DataFormatError, match=r"cannot load .* \(split 'validation'\)"):
        load_prompts(str(tmp_path), "validation")


def test_a_file_that_is_not_what_it_says_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataFormatError, match=r"cannot load .*broken.parquet"):
        load_prompts(str(tmp_path / "broken.parquet"))


def test_the_built_in_policy_is_a_folder_and_other_names_stay() -> None:
    assert (Path(builtin_model("builtin:toolcalls")) / "model.safetensors").is_file()
    assert builtin_model("org/model") == "org/model"
    with pytest.raises(DataFormatError, match="no built-in policy 'builtin:other'"):
        builtin_model("builtin:other")


def test_a_source_in_verls_schema_is_loaded_once_and_with_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    row = {"prompt": [{"role": "user", "content": "?"}], "reward_model": {"ground_truth": "4"}}

    def load_dataset(path: str, name: str | None = None, **options: Any) -> Dataset:
        asked.append((path, name, options["split"]))
        return Dataset.from_list([row])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    loaded = load_prompts("owner/rlla", "test", config="hard")
    assert loaded["answer"][:] == ["4"]
    assert asked == [("owner/rlla", "hard", "test")]
