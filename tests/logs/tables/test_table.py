"""Parquet of any origin."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError

BROKEN = pa.Array.from_buffers(pa.string(), 4, pa.array([b"a\xff", b"a\xff", b"b", b"b"], pa.binary()).buffers())
PLAIN: dict[str, Any] = {"group": ["a", "a", "b", "b"], "x": [1.0, 0.0, 0.5, 0.25], "completion": ["one"] * 4}


def write(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({**PLAIN, **columns}), path)
    return path


@pytest.mark.parametrize(
    "columns",
    [
        {"group": BROKEN},
        {"group": pa.array(PLAIN["group"], pa.string_view()), "completion": pa.array(["one"] * 4, pa.string_view())},
        {"group": pa.array([b"a", b"a", b"b", b"b"]), "completion": BROKEN},
        {"group": pa.array(PLAIN["group"]).dictionary_encode(), "x": pa.array(["1", "0", ".5", "0.25"])},
        {"group": pa.array([[1], [1], [2], [2]]), "completion": pa.array([["one", "two"]] * 4)},
        {"x": pa.array(["1", "0", ".5", "0.25"], pa.string_view())},
        {"x": pa.array(["1", "0", ".5", "0.25"]).dictionary_encode()},
        {"x": pa.array([b"1", b"0", b".5", b"0.25"])},
        {"x": pa.array([Decimal("1"), Decimal("0"), Decimal("0.5"), Decimal("0.25")])},
        {"x": pa.array([1.0, 0.0, 0.5, 0.25], pa.float16()), "more": pa.array([[1.0]] * 4)},
    ],
)
def test_columns_of_unusual_types_are_read(tmp_path: Path, columns: dict[str, Any]) -> None:
    log = RewardLog(write(tmp_path, **columns))
    assert group_rewards(log) == [[[1.0], [0.0]], [[0.5], [0.25]]]
    places = read(log).places.tolist()
    assert all(isinstance(completion, str) for _, completion in log.texts(places).values())


def test_a_reward_of_text_that_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="log.parquet row 1: reward 'reward/x' needs a finite number"):
        read(RewardLog(write(tmp_path, **{"reward/x": BROKEN})))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = pa.table(PLAIN)
    pq.write_table(pa.Table.from_arrays([*table.columns, table["x"]], [*table.column_names, "x"]), path)
    with pytest.raises(DataFormatError, match="log.parquet: two columns are called 'x'. Rename one."):
        RewardLog(path)


def test_a_table_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, **{f"r{column}": [0.0] * 4 for column in range(10_000)})
    with pytest.raises(DataFormatError, match="has 10,003 columns, and a reward log has at most 10,000"):
        RewardLog(path)
