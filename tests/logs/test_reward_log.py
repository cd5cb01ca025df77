"""Reward logs as they come: formats, groupings, and whatever is wrong with a file."""

from __future__ import annotations

import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.logs.grouping import Rows, StepReturnsError

Columns = dict[str, list[Any]]

NO_ROWS = Rows(*(np.zeros(0, dtype=np.int64) for _ in range(5)))  # type: ignore[arg-type]


def read(log: RewardLog, *, in_order: bool = True) -> Rows:
    parts = [chunk.rows for chunk in log.chunks(in_order=in_order)]
    return Rows.join(parts or [NO_ROWS])


def group_rewards(log: RewardLog, *, in_order: bool = True) -> list[list[list[float]]]:
    """The rewards of each group, as nested lists."""
    groups = []
    for chunk in log.chunks(in_order=in_order):
        ends = [*chunk.group_starts[1:], len(chunk.rows)]
        groups += [chunk.rows.rewards[begin:end].tolist() for begin, end in zip(chunk.group_starts, ends, strict=True)]
    return groups


# Formats


@pytest.mark.parametrize("name", ["log.parquet", "log.jsonl", "log.csv", "log.tsv"])
def test_every_plain_format_gives_the_same_rollouts(write_log: Any, small_table: Columns, name: str) -> None:
    path = write_log(small_table, name)
    if name.endswith(".tsv"):
        path.write_text(path.read_text().replace("Two, I", "Two I").replace('"', "").replace(",", "\t"))
    log = RewardLog(path)
    rows = read(log)
    np.testing.assert_array_equal(rows.rewards, np.array([[1, 0.25], [0, 0.75], [1, np.nan], [1, 0.5]], np.float32))
    assert group_rewards(log)[0] == [[1, 0.25], [0, 0.75]]
    assert log.layout.reward_names == ["correct", "brief"]
    assert log.texts(rows.places.tolist())[int(rows.places[0])] == ("What is 1 + 1?", "2")


def test_a_compressed_log_is_read(write_log: Any, small_table: Columns, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(write_log(small_table, "log.jsonl").read_bytes()))
    assert len(read(RewardLog(path))) == 4


def test_a_file_is_recognised_by_its_content_not_its_name(write_log: Any, small_table: Columns) -> None:
    path = write_log(small_table, "log.jsonl")
    assert len(read(RewardLog(path.rename(path.with_suffix(".txt"))))) == 4


def test_files_of_a_folder_come_in_the_order_of_their_numbers(write_log: Any, small_table: Columns) -> None:
    for step in (2, 10, 9):
        write_log({**small_table, "step": [step] * 4}, f"logs/{step}.jsonl")
    path = write_log(small_table, "logs/1.jsonl").parent
    assert list(dict.fromkeys(read(RewardLog(path)).steps.tolist())) == [1, 2, 9, 10]


def test_a_glob_names_several_files(write_log: Any, small_table: Columns, tmp_path: Path) -> None:
    write_log(small_table, "a_1.csv")
    write_log({**small_table, "step": [2] * 4}, "a_2.csv")
    write_log(small_table, "other.csv")
    assert len(read(RewardLog(str(tmp_path / "a_*.csv")))) == 8


def test_a_run_folder_of_gd2po_is_recognised(write_log: Any, small_table: Columns) -> None:
    columns = {"step": small_table["step"], "group": [0, 0, 1, 1], "reward/correct": small_table["correct"]}
    path = write_log({**columns, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000001.parquet")
    write_log(
        {**columns, "step": [2] * 4, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000002.parquet"
    )
    log = RewardLog(path.parents[1])
    assert log.layout.format == "gd2po"
    assert log.layout.reward_names == ["correct"]
    assert len(group_rewards(log)) == 4
    # A step may generate several batches; the same ids in two files are two groups.
    write_log(
        {**columns, "step": [2] * 4, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000002_2.parquet"
    )
    assert len(group_rewards(RewardLog(path.parents[1]))) == 6


def test_a_trl_table_groups_consecutive_rows_of_one_prompt(tmp_path: Path) -> None:
    # "hello" was drawn twice in a row, so a run of four rollouts is two groups of two.
    prompts = ["hello"] * 4 + ["there"] * 2 + ["hello"] * 2
    messages = [[{"role": "user", "content": text}] for text in prompts]
    table = {
        "step": [1] * 8, "prompt": messages, "completion": [[{"role": "assistant", "content": "ok"}]] * 8,
        "x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "advantage": [-0.7, 0.7] * 4,
    }  # fmt: skip
    (tmp_path / "completions").mkdir()
    pq.write_table(pa.table(table), tmp_path / "completions" / "completions_00001.parquet")
    log = RewardLog(tmp_path)
    assert [len(group) for group in group_rewards(log)] == [2, 2, 2, 2]
    assert log.texts([0])[0] == ("hello", "ok")
    assert any("2 to a group" in note for note in log.notes())
    assert any("1 longer runs" in note for note in log.notes())


def test_an_odd_run_of_a_trl_table_is_one_group_and_is_said(tmp_path: Path) -> None:
    prompts = ["a"] * 4 + ["b"] * 4 + ["c"] * 3
    table = {
        "step": [1] * 11,
        "prompt": prompts,
        "completion": ["ok"] * 11,
        "x": np.arange(11.0),
        "advantage": np.arange(11.0),
    }
    pq.write_table(pa.table(table), tmp_path / "completions_00001.parquet")
    log = RewardLog(tmp_path)
    assert [len(group) for group in group_rewards(log)] == [4, 4, 3]
    assert any("1 runs of one prompt are no multiple" in note for note in log.notes())


def trl_table(rewards: dict[str, list[float]], advantage: list[float]) -> pa.Table:
    count = len(advantage)
    prompts = [f"prompt {row // 2}" for row in range(count)]
    return pa.table(
        {"step": [1] * count, "prompt": prompts, "completion": ["ok"] * count, **rewards, "advantage": advantage}
    )


def test_extra_columns_of_a_trl_table_are_told_from_rewards_by_the_advantage(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y, extra = random.normal(size=(3, 40))
    total = (x + y).reshape(-1, 2)
    advantage = ((total - total.mean(1, keepdims=True)) / (total.std(1, ddof=1, keepdims=True) + 1e-4)).ravel()
    path = tmp_path / "table.parquet"
    pq.write_table(trl_table({"x": x, "y": y, "extra": extra}, advantage), path)
    log = RewardLog(path)
    assert log.layout.reward_names == ["x", "y"]
    assert "extra adds nothing to it" in " ".join(log.notes())
    pq.write_table(trl_table({"x": x, "y": y, "extra": extra}, random.normal(size=40)), path)
    log = RewardLog(path)
    assert log.layout.reward_names == ["x", "y", "extra"]
    assert "No sum of them" in " ".join(log.notes())


def verl_rows(step: int, **extra: list[Any]) -> list[dict[str, Any]]:
    """What verl writes for four rollouts of two prompts, balanced over devices and so in no order."""
    base = [{"input": f"user {prompt}", "output": "...", "gts": None, "score": 1.0, "step": step} for prompt in "abba"]
    return [row | {key: values[index] for key, values in extra.items()} for index, row in enumerate(base)]


def write_verl(folder: Path, step: int, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_verl_dump_with_components_groups_by_prompt(tmp_path: Path) -> None:
    for step in (9, 10):
        rows = verl_rows(
            step, acc=[True, False, True, False], format=[1.0, 0.5, float("nan"), 0.0], pred=["4", "5", "4", "4"]
        )
        write_verl(tmp_path / "dump", step, rows)
    log = RewardLog(tmp_path / "dump")
    assert log.layout.format == "verl"
    assert log.layout.reward_names == ["acc", "format"]
    assert log.texts([0])[0] == ("user a", "...")
    groups = group_rewards(log)
    assert groups[0] == [[1.0, 1.0], [0.0, 0.0]]
    assert [len(group) for group in groups] == [2, 2, 2, 2]
    assert np.isnan(read(log).rewards).sum() == 2  # the literal NaN that verl writes


def test_a_verl_dump_with_uids_groups_by_the_prompts_part(tmp_path: Path) -> None:
    uids = ["q1_0_0", "q2_0_0", "q2_1_0", "q1_1_0"]
    write_verl(tmp_path / "dump", 1, [row | {"input": "same"} for row in verl_rows(1, uid=uids)])
    log = RewardLog(tmp_path / "dump")
    assert log.layout.reward_names == ["score"]
    assert [len(group) for group in group_rewards(log)] == [2, 2]
    assert "no reward components" in " ".join(log.notes())


# Columns


def test_marked_columns_are_the_rewards_whatever_else_is_a_number(write_log: Any) -> None:
    path = write_log({"group": [1, 1], "reward_x": [0.0, 1.0], "y_reward": [1.0, 0.0], "difficulty": [3.0, 3.0]})
    assert RewardLog(path).layout.reward_names == ["reward_x", "y_reward"]


def test_a_total_beside_its_parts_is_left_out_and_said(write_log: Any) -> None:
    log = RewardLog(write_log({"group": [1, 1], "x": [0.0, 1.0], "y": [1.0, 0.0], "score": [1.0, 1.0]}))
    assert log.layout.reward_names == ["x", "y"]
    assert "score is left out as their total" in " ".join(log.notes())
    assert RewardLog(write_log({"group": [1, 1], "score": [1.0, 1.0]})).layout.reward_names == ["score"]


@pytest.mark.parametrize(("values", "is_reward"), [([0.5, 0.25], True), ([1, 0], True), ([120, 80], False)])
def test_a_column_called_length_is_a_count_of_tokens_or_a_reward(
    write_log: Any, values: list[float], is_reward: bool
) -> None:
    log = RewardLog(write_log({"group": [1, 1], "x": [0.0, 1.0], "length": values}))
    assert ("length" in log.layout.reward_names) is is_reward
    assert log.layout.length == (None if is_reward else "length")


def test_names_are_known_however_they_are_set(write_log: Any) -> None:
    columns = {"Global Step": [3, 3], "Prompt ID": [7, 7], "Score A": [1.0, 0.0], "Count of tokens": [90, 80]}
    log = RewardLog(write_log(columns, "log.csv"))
    assert (log.layout.step, log.layout.group, log.layout.length) == ("Global Step", "Prompt ID", "Count of tokens")
    assert log.layout.reward_names == ["Score A"]


def test_named_columns_override_every_guess(write_log: Any) -> None:
    columns = {
        "when": [5, 5],
        "who": ["q", "q"],
        "score": [1.0, 0.0],
        "difficulty": [2.0, 2.0],
        "ask": ["a", "a"],
        "say": ["b", "c"],
    }
    choices = ColumnChoices(step="when", group="who", rewards=["difficulty", "score"], prompt="ask", completion="say")
    log = RewardLog(write_log(columns), choices)
    rows = read(log)
    assert rows.steps.tolist() == [5, 5]
    assert rows.rewards.tolist() == [[2, 1], [2, 0]]
    assert log.texts([1])[1] == ("a", "c")


def test_a_group_size_makes_blocks_of_rows(write_log: Any) -> None:
    path = write_log({"x": [1.0, 2.0, 3.0, 4.0]})
    assert group_rewards(RewardLog(path, ColumnChoices(group_size=2))) == [[[1], [2]], [[3], [4]]]
    with pytest.raises(DataFormatError, match="no multiple of 3"):
        read(RewardLog(path, ColumnChoices(group_size=3)))
    with pytest.raises(InvalidInputError, match="at least 1"):
        RewardLog(path, ColumnChoices(group_size=0))


def test_an_unknown_column_is_refused_with_the_nearest_one(write_log: Any, small_table: Columns) -> None:
    with pytest.raises(DataFormatError, match="no reward 'corect'.*Did you mean 'correct'"):
        RewardLog(write_log(small_table), ColumnChoices(rewards=["corect"]))
    with pytest.raises(DataFormatError, match="no column 'grp' \\(--group\\)"):
        RewardLog(write_log(small_table), ColumnChoices(group="grp"))


def test_a_table_without_groups_says_how_to_name_them(write_log: Any) -> None:
    with pytest.raises(DataFormatError, match="--group, or .* --group-size"):
        RewardLog(write_log({"x": [1.0, 2.0]}))


def test_a_table_without_rewards_says_how_to_name_them(write_log: Any) -> None:
    with pytest.raises(DataFormatError, match="--rewards a,b"):
        RewardLog(write_log({"group": [1, 1], "note": ["good", "bad"]}))


# Order


def test_groups_in_disorder_inside_a_step_are_put_together(write_log: Any) -> None:
    log = RewardLog(write_log({"step": [1, 1, 1, 1], "group": ["b", "a", "b", "a"], "x": [1.0, 2.0, 3.0, 4.0]}))
    assert group_rewards(log) == [[[1], [3]], [[2], [4]]]


def test_steps_in_disorder_are_noticed_and_sorted_on_demand(write_log: Any) -> None:
    columns = {"step": [1, 2, 1, 2], "group": [0, 0, 0, 0], "x": [1.0, 2.0, 3.0, 4.0]}
    log = RewardLog(write_log(columns))
    with pytest.raises(StepReturnsError):
        read(log)
    assert group_rewards(log, in_order=False) == [[[1], [3]], [[2], [4]]]


def test_a_group_may_span_the_files_of_a_plain_log(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": ["a", "b"], "x": [1.0, 2.0]}, "logs/1.parquet")
    write_log({"step": [1, 1], "group": ["b", "a"], "x": [3.0, 4.0]}, "logs/2.parquet")
    path = write_log({"step": [2, 2], "group": ["a", "a"], "x": [5.0, 6.0]}, "logs/3.parquet").parent
    assert group_rewards(RewardLog(path)) == [[[1], [4]], [[2], [3]], [[5], [6]]]


def test_step_range_keeps_the_steps_inside(write_log: Any) -> None:
    path = write_log({"step": [1, 1, 2, 2, 3, 3], "group": [0] * 6, "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    assert read(RewardLog(path, step_range=(2, None))).steps.tolist() == [2, 2, 3, 3]
    assert read(RewardLog(path, step_range=(None, 1))).steps.tolist() == [1, 1]
    assert read(RewardLog(path, step_range=(2, 2))).rewards[:, 0].tolist() == [3, 4]


# Spreadsheets


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_spreadsheets_csv_is_read_as_it_is(tmp_path: Path, encoding: str) -> None:
    text = (
        'step;group;Qualität;brief;prompt;\r\n1;a;0,5;-1,25;Grüße, alle?;\r\n1;a;1,5;0;"zwei\r\nZeilen";\r\n;;;;;\r\n'
    )
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode(encoding))
    log = RewardLog(path)
    rows = read(log)
    assert log.layout.reward_names == ["Qualität", "brief"]
    assert rows.rewards.tolist() == [[0.5, -1.25], [1.5, 0.0]]
    assert log.texts([1])[1][0] == "zwei\r\nZeilen"
    notes = " ".join(log.notes())
    assert "decimal commas" in notes
    assert "1 empty rows" in notes
    assert ("Windows-1252" in notes) is (encoding == "cp1252")


def test_an_excel_delimiter_hint_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("sep=;\ngroup;x;y\na;1;2\na;3;4\n")
    assert read(RewardLog(path)).rewards.tolist() == [[1, 2], [3, 4]]


def test_words_for_missing_and_truth_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\na,TRUE,NA\na,false,\na,#N/A,null\na,1,0.5\n")
    rewards = read(RewardLog(path)).rewards
    np.testing.assert_array_equal(rewards, np.array([[1, np.nan], [0, np.nan], [np.nan, np.nan], [1, 0.5]], np.float32))


# Bad input


def test_an_empty_log_says_so(tmp_path: Path, write_log: Any) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    (tmp_path / "folder").mkdir()
    for name in ("empty.jsonl", "blank.jsonl"):
        with pytest.raises(DataFormatError, match="is empty: it holds no rollouts"):
            RewardLog(tmp_path / name)
    with pytest.raises(DataFormatError, match="is empty"):
        RewardLog(write_log({"step": [], "group": [], "x": []}, "log.csv"))
    with pytest.raises(DataFormatError, match="holds no reward log.*log_completions"):
        RewardLog(tmp_path / "folder")
    with pytest.raises(DataFormatError, match="there is no .*nowhere"):
        RewardLog(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_text_in_a_reward_column_is_named_by_file_and_line(write_log: Any, name: str) -> None:
    texts = ["1", "good", "0", "1"] if name != "log.jsonl" else [1, "good", 0, 1]
    path = write_log({"step": [1] * 4, "group": [0] * 4, "x": texts, "y": [1.0] * 4}, name)
    place = {"log.csv": "line 3", "log.jsonl": "line 2", "log.parquet": "row 2"}[name]
    with pytest.raises(DataFormatError, match=rf"{name} {place}: reward 'x' needs a finite number.*got 'good'"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 3
    assert log.bad_rows.count == 1
    assert f"1 malformed rows were skipped: {path} {place}" in " ".join(log.notes())


def test_the_line_of_a_bad_cell_is_right_after_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('group,x,completion\na,1,"one\ntwo\nthree"\n\na,0,ok\na,bad,ok\na,1,ok\n')
    with pytest.raises(DataFormatError, match="log.csv line 7: reward 'x'"):
        read(RewardLog(path))
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n\n{"group": 1, "x": 0}\n{"group": 1, "x": "bad"}\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 4: reward 'x'"):
        read(RewardLog(path))


def test_a_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\n\na,1,0\na,2\na,3,1\na,4,1,9\n")
    with pytest.raises(DataFormatError, match="log.csv line 4: expected 3 cells as in the header, got 2"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert read(log).rewards.tolist() == [[1, 0], [3, 1]]
    assert log.bad_rows.examples[1].endswith("line 6: expected 3 cells as in the header, got 4")


def test_an_absent_value_in_jsonl_is_an_error_and_null_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rewards.jsonl"
    rows = [{"group": 1, "correctness": 1.0, "length": 0.5}, {"group": 1, "correctness": 0.0, "length": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"group": 1, "correctness": 1.0}]))
    with pytest.raises(
        DataFormatError, match="line 3: no value for reward 'length' .*Write null where it does not apply"
    ):
        read(RewardLog(path))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert np.isnan(read(RewardLog(path)).rewards).tolist() == [[False, False], [False, True]]


def test_broken_json_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n{"group": 1, "x"\n[1]\n{"group": 1, "x": 0}\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 2: not a JSON object"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    rows = read(log)
    assert rows.rewards[:, 0].tolist() == [1, 0]
    assert log.bad_rows.count == 2
    assert log.place(int(rows.places[1])) == f"{path} line 4"


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e39"])
def test_an_infinite_reward_is_named(tmp_path: Path, value: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"group,x\na,1\na,{value}\n")
    with pytest.raises(DataFormatError, match="log.csv line 3: reward 'x' needs a finite number"):
        read(RewardLog(path))


def test_a_step_or_group_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,group,x\n1,a,1\n1.5,a,1\n,a,1\n1,,1\n1,a,0\n")
    with pytest.raises(DataFormatError, match="line 3: the step 'step' needs a whole number: got '1.5'"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 2
    assert log.bad_rows.count == 3
    assert any("the group 'group' needs a value" in example for example in log.bad_rows.examples)


def test_only_a_few_of_many_bad_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x\n" + "a,1\n" * 50 + "a,bad\n" * 40)
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 50
    assert log.bad_rows.count == 40
    assert len(log.bad_rows.examples) == 3
    assert any(note.endswith("; ....") for note in log.notes())


def test_a_truncated_parquet_file_is_named_and_can_be_left_out(write_log: Any, small_table: Columns) -> None:
    good = write_log(small_table, "logs/1.parquet")
    bad = write_log({**small_table, "step": [2] * 4}, "logs/2.parquet")
    bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(DataFormatError, match="2.parquet is not a complete Parquet file"):
        read(RewardLog(good.parent))
    with pytest.raises(DataFormatError, match="not a complete Parquet file"):
        RewardLog(bad)
    log = RewardLog(good.parent, skip_bad_rows=True)
    assert len(read(log)) == 4
    assert any("1 unreadable files were left out, from the damage on" in note for note in log.notes())


def test_two_logs_with_different_rewards_are_not_mixed(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": [0, 0], "a": [1.0, 0.0], "b": [0.0, 1.0]}, "logs/1.parquet")
    path = write_log({"step": [2, 2], "group": [0, 0], "a": [1.0, 0.0], "c": [0.0, 1.0]}, "logs/2.parquet").parent
    with pytest.raises(DataFormatError, match="2.parquet has no reward 'b', which .*1.parquet has.*--rewards"):
        read(RewardLog(path))
    assert len(read(RewardLog(path, ColumnChoices(rewards=["a"])))) == 4


def test_a_reward_that_only_the_second_file_has_is_no_secret(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": [0, 0], "reward/a": [1.0, 0.0]}, "logs/1.parquet")
    path = write_log(
        {"step": [2, 2], "group": [0, 0], "reward/a": [1.0, 0.0], "reward/b": [1.0, 0.0]}, "logs/2.parquet"
    )
    with pytest.raises(DataFormatError, match="has the reward 'reward/b', which .*1.parquet lacks"):
        read(RewardLog(path.parent))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 a workbook", "save the sheet as CSV"),
        (b'[{"group": 1, "x": 1}]', "JSON array.*jq -c"),
        (b'{\n "group": 1,\n "x": 1\n}\n', "several lines.*jq -c"),
        (b"\x00\x01\x02\x03" * 10, "neither Parquet nor text"),
        (b"group,x,x\na,1,2\n", "two columns are called 'x'"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_way_out(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "log.dat"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=message):
        RewardLog(path)


def test_a_folder_with_logs_of_two_kinds_asks_for_a_glob(write_log: Any, small_table: Columns) -> None:
    write_log(small_table, "logs/a.csv")
    path = write_log(small_table, "logs/b.jsonl")
    with pytest.raises(DataFormatError, match="several kinds.*glob"):
        RewardLog(path.parent)


def test_jsonl_that_turns_from_whole_numbers_to_fractions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [{"group": row // 4, "x": 1} for row in range(8000)] + [{"group": 1, "x": 0.5}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = RewardLog(path)
    assert sorted(set(read(log).rewards[:, 0].tolist())) == [0.5, 1]


def test_a_jsonl_line_longer_than_a_block_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.logs.tables.jsonl_table.BLOCK_BYTES", 64)
    path = tmp_path / "log.jsonl"
    rows = [{"group": 1, "x": row % 2, "completion": "word " * 50 * row} for row in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = RewardLog(path)
    assert read(log).rewards[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert log.texts([5])[5][1] == "word " * 250
    assert log.place(4) == f"{path} line 5"


def test_chat_messages_in_jsonl_group_and_show_as_text(tmp_path: Path) -> None:
    def row(ask: str, value: float) -> dict[str, Any]:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ask}]
        return {
            "prompt": messages,
            "completion": [{"role": "assistant", "content": ask.upper()}],
            "x": value,
            "y": -value,
        }

    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row(ask, value)) + "\n" for value, ask in enumerate("aabba")))
    log = RewardLog(path)
    assert [len(group) for group in group_rewards(log)] == [3, 2]
    assert log.texts([2])[2] == ("Be brief.\nb", "B")


def test_values_of_several_types_in_a_column_are_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    values = [True, 0.5, "1", None, "NaN", 2]
    path.write_text("".join(json.dumps({"group": 1, "x": value}) + "\n" for value in values))
    np.testing.assert_array_equal(
        read(RewardLog(path)).rewards[:, 0], np.array([1, 0.5, 1, np.nan, np.nan, 2], np.float32)
    )


def test_a_jsonl_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n"text"\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 2: expected a JSON object, got str"):
        read(RewardLog(path))


def test_a_csv_that_breaks_its_encoding_late_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"prompt,x\n" + b"fine,1\n" * 60_000 + b"\xff\xfe,1\n")
    with pytest.raises(DataFormatError, match="log.csv cannot be read as CSV: .*UTF8"):
        read(RewardLog(path))


def test_many_rows_with_too_few_cells_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\n" + "a,1,0\n" * 9 + "a,1\n" * 9)
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 9
    assert log.bad_rows.count == 9


def test_a_file_that_is_damaged_inside_counts_up_to_there(write_log: Any, small_table: Columns) -> None:
    path = write_log(small_table, "logs/1.parquet")
    bad = write_log({**small_table, "step": [2] * 4}, "logs/2.parquet")
    content = bytearray(bad.read_bytes())
    content[4:60] = bytes(56)
    bad.write_bytes(content)
    log = RewardLog(path.parent, skip_bad_rows=True)
    assert len(read(log)) == 4
    assert len(log.unreadable) == 1
    with pytest.raises(DataFormatError, match="2.parquet"):
        read(RewardLog(path.parent))


def test_a_folder_of_broken_files_says_so_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataFormatError, match="no file that can be read"):
        RewardLog(tmp_path, skip_bad_rows=True)


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(b"\x1f\x8b and no more")
    with pytest.raises(DataFormatError, match="log.jsonl.gz cannot be decompressed"):
        RewardLog(path)


def test_columns_that_hold_numbers_as_text_or_decimals_are_rewards(tmp_path: Path) -> None:
    table = pa.table({
        "group": pa.array(["a", "a"]).dictionary_encode(),
        "exact": pa.array([decimal.Decimal("0.25"), None]),
        "flag": pa.array([True, False]),
        "spelled": pa.array(["1e-1", " .5 "]),
        "words": pa.array(["fine", "bad"]),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "log.parquet")
    log = RewardLog(tmp_path / "log.parquet")
    assert log.layout.reward_names == ["exact", "flag", "spelled"]
    np.testing.assert_allclose(read(log).rewards, np.array([[0.25, 1, 0.1], [np.nan, 0, 0.5]], np.float32))


def test_content_parts_of_images_and_text_are_joined_as_text(tmp_path: Path) -> None:
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "What is this?"}]
    table = {"group": [0, 0], "prompt": [[{"role": "user", "content": parts}]] * 2, "x": [1.0, 0.0]}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    prompt = RewardLog(tmp_path / "log.parquet").texts([0])[0][0]
    assert prompt is not None
    assert prompt.endswith("What is this?")


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"ok"], pa.binary()).buffers())
    table = {"prompt": broken, "completion": broken, "x": [1.0, 0.0], "": [1.0, 0.0]}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    log = RewardLog(tmp_path / "log.parquet")
    assert log.layout.reward_names == ["x"]
    assert [len(group) for group in group_rewards(log)] == [1, 1]
    assert log.texts([0])[0] == ("\ufffd", "\ufffd")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1),
    gone=st.integers(0, 12),
    come=st.sampled_from([b"", b"\n", b'"', b",", b"\xff\xfe", b"\x00", b"1e999", b"null", b"[1, 2]", b'{"x": ']),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    write_log: Any, small_table: Columns, name: str, where: float, gone: int, come: bytes
) -> None:
    path = write_log(small_table, name)
    content = path.read_bytes()
    place = int(where * len(content))
    path.write_bytes(content[:place] + come + content[place + gone :])
    refusals: list[str] = []
    for skip in (False, True):
        try:
            log = RewardLog(path, skip_bad_rows=skip)
            log.texts(read(log).places.tolist())
        except DataFormatError as error:
            refusals.append(str(error))
    assert all(str(path) in refusal for refusal in refusals)
