"""Any table without a dialect of its own is a plain one."""

from __future__ import annotations

from typing import Any

from log_fixtures import Columns

from gd2po.diagnosis import RewardLog
from gd2po.logs.dialects import DIALECTS, plain


def test_a_table_that_nobody_else_recognises_is_plain(write_log: Any, small_table: Columns) -> None:
    log = RewardLog(write_log(small_table))
    assert log.layout.dialect is plain.DIALECT
    assert log.notes()[0] == "The columns are those of a plain table."


def test_the_plain_table_comes_last_since_it_recognises_everything() -> None:
    assert DIALECTS[-1] is plain.DIALECT
    assert plain.DIALECT.recognises(set())
