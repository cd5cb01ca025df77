"""How a run was made travels in the metadata of its log, and whatever is wrong with it never stops the reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from host_metrics import needed_options
from hypothesis import given
from hypothesis import strategies as st
from log_fixtures import Columns, read

from gd2po import METHODS
from gd2po.core import Setting
from gd2po.diagnosis import RewardLog
from gd2po.errors import InvalidInputError
from gd2po.logs.run_settings import KEY, MOST_BYTES, find_run_settings, from_json, to_json
from gd2po.runs.settings import describe_run

GDPO, GRPO = {"method": "gdpo", "reward_weights": [1.0, 0.5]}, {"method": "grpo", "reward_weights": [1.0, 1.0]}


@pytest.fixture
def write_steps(tmp_path: Path) -> Any:
    """Write a file of two rollouts per step, each with its metadata."""

    def write(steps: dict[str, tuple[int, bytes | None]], **options: Any) -> Path:
        (tmp_path / "rollouts").mkdir()
        for name, (step, text) in steps.items():
            table = pa.table({"step": [step] * 2, "group": [0, 0], "reward/x": [1.0, 0.0], "reward/y": [0.0, 1.0]})
            metadata = None if text is None else {KEY: text}
            pq.write_table(
                table.replace_schema_metadata(metadata), tmp_path / "rollouts" / f"{name}.parquet", **options
            )
        return tmp_path

    return write


def change_notes(log: RewardLog) -> list[str]:
    return [note for note in log.notes() if "settings" in note or "how the run was made" in note]


def test_a_log_without_metadata_has_no_settings(write_log: Any, small_table: Columns) -> None:
    for name in ("log.parquet", "log.csv", "log.jsonl"):
        log = RewardLog(write_log(small_table, name))
        assert log.run_settings is None
        assert change_notes(log) == []


def test_equal_settings_in_every_file_are_those_of_the_log(write_steps: Any) -> None:
    reordered = json.dumps(dict(reversed(GDPO.items()))).encode()
    log = RewardLog(write_steps({"step_1": (1, to_json(GDPO)), "step_2": (2, reordered)}))
    assert log.run_settings == GDPO
    assert change_notes(log) == []


def test_the_settings_of_the_newest_step_count_and_every_change_is_noted(write_steps: Any) -> None:
    texts = [to_json(settings) for settings in (GDPO, GDPO, GRPO, GRPO, GDPO, GRPO)]
    log = RewardLog(write_steps({f"step_{step}": (step, text) for step, text in enumerate(texts, 1)}))
    assert log.run_settings == GRPO
    note = "The settings of the run changed at step 3, step 5 and step 6; those of the newest step count."
    assert change_notes(log) == [note]
    assert len(read(log)) == 12


def test_the_newest_step_is_told_by_the_steps_not_by_the_names_of_the_files(write_steps: Any) -> None:
    log = RewardLog(write_steps({"a": (10, to_json(GRPO)), "b": (9, to_json(GDPO))}))
    assert log.run_settings == GRPO
    assert change_notes(log) == ["The settings of the run changed at step 10; those of the newest step count."]


def test_a_file_of_several_steps_is_as_new_as_its_last(tmp_path: Path) -> None:
    for name, steps, settings in (("a", [1, 10], GRPO), ("b", [2, 3], GDPO)):
        table = pa.table({"step": steps, "group": [0, 0], "reward/x": [1.0, 0.0]})
        pq.write_table(table.replace_schema_metadata({KEY: to_json(settings)}), tmp_path / f"{name}.parquet")
    assert RewardLog(tmp_path).run_settings == GRPO


def test_steps_that_are_text_leave_the_order_to_the_files(tmp_path: Path) -> None:
    for name, step, settings in (("a", "9", GRPO), ("b", "10", GDPO)):
        table = pa.table({"step": [step] * 2, "group": [0, 0], "reward/x": [1.0, 0.0]})
        pq.write_table(table.replace_schema_metadata({KEY: to_json(settings)}), tmp_path / f"{name}.parquet")
    assert RewardLog(tmp_path).run_settings == GDPO


def test_statistics_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"\xff"], pa.binary()).buffers())
    table = pa.table({"step": broken, "group": [0, 0], "reward/x": [1.0, 0.0]})
    pq.write_table(table.replace_schema_metadata({KEY: to_json(GDPO)}), tmp_path / "log.parquet")
    assert find_run_settings([tmp_path / "log.parquet"], "step").settings == GDPO


def test_without_statistics_the_last_file_is_the_newest(write_steps: Any) -> None:
    files = {"a": (10, to_json(GRPO)), "b": (9, to_json(GDPO))}
    log = RewardLog(write_steps(files, write_statistics=False))
    assert log.run_settings == GDPO
    assert change_notes(log) == ["The settings of the run changed at b.parquet; those of the newest step count."]


def test_only_the_steps_that_are_read_count(write_steps: Any) -> None:
    folder = write_steps({f"step_{step}": (step, to_json(GDPO if step < 3 else GRPO)) for step in (1, 2, 3, 4)})
    for step_range, settings in (((None, 2), GDPO), ((3, None), GRPO), ((4, 4), GRPO)):
        log = RewardLog(folder, step_range=step_range)
        assert log.run_settings == settings
        assert change_notes(log) == []
    assert "step 3" in change_notes(RewardLog(folder, step_range=(2, 3)))[0]


def test_files_that_do_not_say_how_the_run_was_made_are_counted(write_steps: Any) -> None:
    log = RewardLog(write_steps({"step_1": (1, None), "step_2": (2, to_json(GDPO)), "step_3": (3, None)}))
    assert log.run_settings == GDPO
    assert change_notes(log) == ["2 files do not say how the run was made."]


def hostile() -> dict[str, bytes]:
    return {
        "empty": b"",
        "no JSON": b"method: gdpo",
        "cut off": b'{"method": "gd',
        "no object": b'["gdpo"]',
        "null": b"null",
        "no number": b'{"snr_threshold": NaN}',
        "infinite": b'{"snr_threshold": 1e999}',
        "bytes": b'{"method": "\xff\xfe"}',
        "lone surrogate": b'{"method": "\\ud800"}',
        "deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "long number": b'{"a": ' + b"9" * 100_000 + b"}",
        "huge": b'{"a": "' + b"x" * MOST_BYTES + b'"}',
    }


@pytest.mark.parametrize("kind", hostile())
def test_settings_that_cannot_be_read_are_ignored_with_a_note(write_steps: Any, kind: str) -> None:
    text = hostile()[kind]
    log = RewardLog(write_steps({"step_1": (1, text), "step_2": (2, text)}))
    assert log.run_settings is None
    (note,) = change_notes(log)
    assert note.startswith("Run settings that cannot be read are ignored (")
    assert "step_1.parquet" in note
    assert note.endswith("; 1 more).")
    assert len(note) < 500
    assert len(read(log)) == 4


def test_readable_settings_count_beside_others_that_are_not(write_steps: Any) -> None:
    log = RewardLog(write_steps({"step_1": (1, to_json(GDPO)), "step_2": (2, b"{")}))
    assert log.run_settings == GDPO
    assert "step_2.parquet: not valid JSON" in change_notes(log)[0]


@given(text=st.binary(max_size=60))
def test_any_bytes_are_settings_or_an_error_of_their_own(text: bytes) -> None:
    try:
        settings = from_json(text)
    except ValueError:
        return
    assert isinstance(settings, dict)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(settings=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), PLAIN, max_size=4))
def test_plain_values_come_back_as_they_were(settings: dict[str, Any]) -> None:
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x", "\ud800", {(1, 2): 3}])
def test_what_json_cannot_hold_is_refused_by_the_writer(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="`run_settings` needs a mapping of text, finite numbers"):
        to_json({"method": "gdpo", "option": value})


def test_settings_that_no_reader_would_take_are_refused_by_the_writer() -> None:
    with pytest.raises(InvalidInputError, match="`run_settings` needs at most 1,048,576 bytes of JSON: got 1,048,588"):
        to_json({"notes": "x" * (MOST_BYTES - 1)})
    assert len(to_json({"notes": "x" * (MOST_BYTES - 13)})) == MOST_BYTES


LABELS = {label: (method, options) for method in METHODS.values() for label, options in method.labels.items()}


@pytest.mark.parametrize("label", LABELS)
def test_what_a_run_says_of_any_method_can_be_stored(label: str) -> None:
    method, options = LABELS[label]
    settings = describe_run(
        Setting.of({"method": method.name, **options, **needed_options(method.name, 2)}, "test"), ["a", "b"], [1.0, 0.5]
    )
    assert from_json(to_json(settings))["method"] == method.name
