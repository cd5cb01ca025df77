from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gd2po.data.demonstrations import load_demonstrations
from gd2po.errors import DataFormatError

ROW = {"instruction": "Use tools.", "input": "Hello!", "output": "<think> t </think>"}


def write(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    path = tmp_path / "sft.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_instruction_input_and_output_become_messages(tmp_path: Path) -> None:
    loaded = load_demonstrations(write(tmp_path, [ROW, ROW, ROW]), size=2)
    assert len(loaded) == 2
    assert loaded[0] == {
        "prompt": [{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Hello!"}],
        "completion": [{"role": "assistant", "content": "<think> t </think>"}],
    }


@pytest.mark.parametrize("row", [{"prompt": "p", "completion": "c"}, {"messages": [{"role": "user", "content": "u"}]}])
def test_columns_that_trl_knows_stay_and_others_go(tmp_path: Path, row: dict[str, Any]) -> None:
    loaded = load_demonstrations(write(tmp_path, [{**row, "source": "s"}]))
    assert loaded[0] == row


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "t"}], "needs the columns `instruction`, `input` and `output`.*found `text`"),
        ([ROW, {**ROW, "output": " "}], "row 1: `output` must be a text, got ' '"),
        ([ROW, {**ROW, "instruction": None}], "row 1: `instruction` must be a text, got None"),
    ],
)
def test_what_cannot_be_learned_from_is_named(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        load_demonstrations(write(tmp_path, rows))


def test_the_real_demonstrations_load(real_data: Path) -> None:
    loaded = load_demonstrations(str(real_data / "rlla" / "sft.json"))
    assert len(loaded) == 400
    assert all(row["completion"][0]["content"].startswith("<think>") for row in loaded)
