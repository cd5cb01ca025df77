"""Readers against damaged and made-up logs: rows, or one clear error, and nothing else."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_fixtures import Columns, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs.grouping import StepReturnsError

SUFFIXES = [".parquet", ".jsonl", ".csv", ".csv.gz"]
FLIPS = 60
FLIPS_OF_A_LONG_RUN = 5_000


def read_all(path: Path) -> None:
    """Everything a diagnosis asks of a log; only the errors that it handles may come."""
    for skip_bad_rows in (False, True):
        try:
            log = RewardLog(path, skip_bad_rows=skip_bad_rows)
            rows = read(log, in_order=False)
            log.texts(rows.places[:4].tolist())
            "".join(log.notes()).encode()
        except (DataFormatError, StepReturnsError) as error:
            str(error).encode()  # also what it quotes can be printed


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, taken out, repeated or cut off."""
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 8])):
        if not data:
            break
        place = chance.randrange(len(data))
        action = chance.randrange(5)
        if action == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif action == 1:
            data[place] = chance.choice(b'\x00\xff"{}[],\n\\:')
        elif action == 2:
            del data[place : place + chance.randrange(1, 64)]
        elif action == 3:
            data[place:place] = data[place : place + chance.randrange(1, 64)]
        else:
            del data[place:]
    return bytes(data)


def flip(write_log: Callable[..., Path], small_table: Columns, suffix: str, count: int) -> None:
    long_table = {name: values * 8 for name, values in small_table.items()}
    whole = write_log(long_table, f"whole{suffix.removesuffix('.gz')}").read_bytes()
    chance = random.Random(suffix)
    path = write_log(small_table, "damaged.csv").with_name(f"damaged{suffix}")
    for _ in range(count):
        data = damaged(whole, chance)
        path.write_bytes(damaged(gzip.compress(data, 1), chance) if suffix.endswith(".gz") else data)
        read_all(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_log_is_read_or_refused(write_log: Callable[..., Path], small_table: Columns, suffix: str) -> None:
    flip(write_log, small_table, suffix, FLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_twenty_thousand_damaged_logs_are_read_or_refused(
    write_log: Callable[..., Path], small_table: Columns, suffix: str
) -> None:
    flip(write_log, small_table, suffix, FLIPS_OF_A_LONG_RUN)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "nan", "1e308", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["step", "group", "reward/a", "b", "prompt", "completion", "tokens", "", "\ud800"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(KEYS, VALUES, max_size=8), min_size=1, max_size=6), repeat=st.integers(1, 3))
def test_made_up_jsonl_is_read_or_refused(tmp_path: Path, rows: list[dict[str, object]], repeat: int) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * repeat))
    read_all(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=5), min_size=1, max_size=6))
def test_made_up_csv_is_read_or_refused(tmp_path: Path, cells: list[list[str]]) -> None:
    path = tmp_path / "log.csv"
    text = "group,x,y\n" + "".join(",".join(row) + "\n" for row in cells)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read_all(path)
