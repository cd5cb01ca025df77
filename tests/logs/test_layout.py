"""Which column plays which part: names, guesses and their reasons."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_fixtures import Columns, read

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError


def test_marked_columns_are_the_rewards_whatever_else_is_a_number(write_log: Any) -> None:
    path = write_log({"group": [1, 1], "reward_x": [0.0, 1.0], "y_reward": [1.0, 0.0], "difficulty": [3.0, 3.0]})
    assert RewardLog(path).layout.reward_names == ["reward_x", "y_reward"]


def test_a_total_beside_its_parts_is_excluded_with_a_note(write_log: Any) -> None:
    log = RewardLog(write_log({"group": [1, 1], "x": [0.0, 1.0], "y": [1.0, 0.0], "score": [1.0, 1.0]}))
    assert log.layout.reward_names == ["x", "y"]
    assert "score is excluded as their total" in " ".join(log.notes())
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


def test_an_unknown_column_is_refused_with_the_nearest_one(write_log: Any, small_table: Columns) -> None:
    with pytest.raises(DataFormatError, match="`rewards` needs columns of .*: got 'corect'. Did you mean 'correct'"):
        RewardLog(write_log(small_table), ColumnChoices(rewards=["corect"]))
    with pytest.raises(DataFormatError, match="`group` needs a column of .*: got 'grp'. Did you mean 'group'"):
        RewardLog(write_log(small_table), ColumnChoices(group="grp"))


def test_a_table_without_groups_says_how_to_name_them(write_log: Any) -> None:
    with pytest.raises(DataFormatError, match="`group`, or .* `group_size`"):
        RewardLog(write_log({"x": [1.0, 2.0]}))


def test_a_table_without_rewards_says_how_to_name_them(write_log: Any) -> None:
    with pytest.raises(DataFormatError, match="Name them with `rewards`"):
        RewardLog(write_log({"group": [1, 1], "note": ["good", "bad"]}))


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


@pytest.mark.parametrize("part", ["step", "group", "prompt", "completion", "length"])
def test_a_named_column_of_any_part_has_to_exist(write_log: Any, small_table: Columns, part: str) -> None:
    with pytest.raises(DataFormatError, match=f"`{part}` needs a column of .*log.parquet: got 'nowhere'.*Its columns"):
        RewardLog(write_log(small_table), ColumnChoices(**{part: "nowhere"}))


def test_a_total_beside_one_other_column_is_a_reward(write_log: Any) -> None:
    log = RewardLog(write_log({"group": [1, 1], "x": [0.0, 1.0], "score": [1.0, 1.0]}))
    assert log.layout.reward_names == ["x", "score"]


def test_a_column_of_text_is_a_reward_only_if_most_of_it_is_numbers(write_log: Any) -> None:
    columns = {"group": [1, 1, 1], "mostly": ["1", "0", "oops"], "rarely": ["1", "good", "bad"]}
    layout = RewardLog(write_log(columns, "log.csv")).layout
    assert layout.reward_names == ["mostly"]
    assert layout.reasons[-1].endswith("These hold none: rarely.")


def test_an_id_that_is_never_repeated_is_no_group_where_there_is_a_prompt(write_log: Any) -> None:
    columns = {"uid": ["a", "b", "c"], "prompt": ["p", "p", "q"], "x": [1.0, 0.0, 1.0]}
    assert RewardLog(write_log(columns)).layout.group == "prompt"
    del columns["prompt"]
    assert RewardLog(write_log(columns)).layout.group == "uid"
    assert RewardLog(write_log(columns | {"uid": ["a", "a", "b"], "prompt": ["p"] * 3})).layout.group == "uid"


def test_every_guess_has_its_reason_in_a_sentence(write_log: Any, small_table: Columns) -> None:
    reasons = RewardLog(write_log({**small_table, "completion_tokens": [12, 13, 14, 15]})).layout.reasons
    assert reasons == [
        "The columns are those of a plain table.",
        "The column 'completion_tokens' counts the tokens of a completion.",
        "Groups come from the column 'group', judging by its name.",
        "Rewards are the columns of numbers: correct, brief (`rewards` overrides this).",
    ]


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("reward/a\nb", "holds a line break"),
        ("reward/\x1b[31mred", "holds a line break or another control character"),
        ("reward/ ", "is empty"),
        ("reward/a\u2028b", "holds a line break"),
    ],
)
def test_a_reward_whose_name_no_report_can_show_is_refused(write_log: Any, column: str, problem: str) -> None:
    path = write_log({"group": [1, 1], "reward/fine": [0.0, 1.0], column: [1.0, 0.0]})
    with pytest.raises(DataFormatError, match=f"log.parquet: the .*name .* {problem}.*Rename it"):
        RewardLog(path)
