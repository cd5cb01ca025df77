"""Outputs survive kills and full disks."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from gd2po.errors import ConfigError, DataFormatError, OutputWriteError
from gd2po.evaluation.generation.output_log import OutputLog, write_json

SETTINGS = {"model": "m", "max_new_tokens": 8}
RECORDS = [{"key": "1/0", "text": "ä\n\u2028"}, {"key": "1/1", "text": "\r"}, {"key": "1/2", "text": ""}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "outputs.jsonl"


def keys(path: Path, settings: dict[str, Any] = SETTINGS) -> list[str]:
    with OutputLog(path, settings) as log:
        return list(log.records)


def test_records_come_back_as_they_were_and_the_file_grows(path: Path) -> None:
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS[:2])
    with OutputLog(path, SETTINGS) as log:
        assert list(log.records.values()) == RECORDS[:2]
        log.append(RECORDS[2:])
    with OutputLog(path, SETTINGS) as log:
        assert list(log.records.values()) == RECORDS


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_last_line_that_was_cut_off_is_dropped_and_the_rest_kept(path: Path, cut: int) -> None:
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS)
    path.write_bytes(path.read_bytes()[:-cut])
    assert keys(path) == ["1/0", "1/1"]
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS[2:])
    assert keys(path) == ["1/0", "1/1", "1/2"]


def test_a_file_of_half_a_line_is_an_empty_log(path: Path) -> None:
    with OutputLog(path, SETTINGS):
        pass
    path.write_bytes(b'{"key": "1/')
    assert keys(path) == []


def test_other_settings_are_refused_by_name(path: Path) -> None:
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS)
    with pytest.raises(ConfigError, match=r"other settings: `max_new_tokens` was 8, now 9\. Choose another"):
        OutputLog(path, {**SETTINGS, "max_new_tokens": 9})
    with pytest.raises(ConfigError, match="`dtype` was None, now 'float32'"):
        OutputLog(path, {**SETTINGS, "dtype": "float32"})
    path.with_suffix(".settings.json").unlink()
    with pytest.raises(ConfigError, match="has records and no outputs.settings.json"):
        OutputLog(path, SETTINGS)


@pytest.mark.parametrize(
    ("line", "message"), [("{", "line 2"), ("[]", "line 2"), ("{}", "line 2"), ('{"key": "1/0"}', "twice")]
)
def test_a_broken_line_in_the_middle_is_named(path: Path, line: str, message: str) -> None:
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS[:1])
    path.write_text(path.read_text() + line + "\n" + '{"key": "1/9"}\n')
    with pytest.raises(DataFormatError, match=message):
        OutputLog(path, SETTINGS)


def test_a_disk_that_fills_up_loses_nothing_that_was_written(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with OutputLog(path, SETTINGS) as log:
        log.append(RECORDS)
        full = path.stat().st_size + 40  # the next record fits in part
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))
        try:
            with pytest.raises(OutputWriteError, match="3 records are safe in it. Free some space and run"):
                log.append([{"key": "1/3", "text": "x" * 100}])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert keys(path) == ["1/0", "1/1", "1/2"]
        log.append([{"key": "1/3", "text": "x" * 100}])
    assert keys(path) == ["1/0", "1/1", "1/2", "1/3"]


def test_a_folder_that_cannot_be_made_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputWriteError, match="Cannot write .*outputs.jsonl"):
        OutputLog(tmp_path / "file" / "outputs.jsonl", SETTINGS)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [item.name for item in tmp_path.iterdir()] == ["scores.json"]
