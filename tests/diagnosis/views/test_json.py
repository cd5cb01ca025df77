"""The JSON keeps to its schema, and the schema to the model."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gd2po.diagnosis import RewardLog, diagnose, model, to_json, write_json, write_run_report
from gd2po.diagnosis.views.json import schema_text
from gd2po.errors import DataFormatError

CASES = {
    "several": {"group": [0, 0, 1, 1], "x": [1.0, 0.0, 1.0, 1.0], "y": [0.0, 1.0, None, None]},
    "one reward": {"group": [0, 0], "x": [1.0, 0.0]},
    "groups of one": {"group": [0, 1], "x": [1.0, 0.0], "y": [0.0, 1.0]},
    "never applies": {"group": [0, 0, 1], "x": [1.0, 0.0, 2.0], "y": [math.nan] * 3},
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_keeps_to_the_schema(write_log: Any, case: str) -> None:
    from gd2po.diagnosis import ColumnChoices

    rewards = [name for name in CASES[case] if name != "group"]
    diagnosis = diagnose(RewardLog(write_log(CASES[case]), ColumnChoices(rewards=rewards)))
    document = json.loads(to_json(diagnosis))
    jsonschema.Draft202012Validator(json.loads(schema_text())).validate(document)
    assert (document["schema"], document["schema_version"]) == ("gd2po.diagnosis", 2)
    assert document["verdict"]["headline"] == diagnosis.verdict.headline


def test_the_schema_describes_every_field_of_the_model() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, described in schema["$defs"].items():
        fields = [field.name for field in dataclasses.fields(getattr(model, name))]
        assert list(described["properties"]) == fields
        assert described["required"] == fields
    assert list(schema["properties"]) == [
        "schema",
        "schema_version",
        *[field.name for field in dataclasses.fields(model.Diagnosis)],
    ]
    kinds = schema["$defs"]["Verdict"]["properties"]["kind"]["enum"]
    assert tuple(kinds) == typing.get_args(model.VerdictKind)


def test_a_run_folder_gets_both_reports(write_log: Any, tmp_path: Path) -> None:
    columns = {"step": [1] * 4, "group": [0] * 4, "reward/x": [1.0, 0.0, 0.0, 1.0], "reward/y": [0.0, 1.0, 0.5, 1.0]}
    folder = write_log(columns, "run/rollouts/step_000001.parquet").parents[1]
    report = write_run_report(folder)
    assert report.html == folder / "report.html"
    assert json.loads(report.json.read_text()) == json.loads(to_json(report.diagnosis))
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "rollouts"]
    with pytest.raises(DataFormatError, match="holds no reward log"):
        write_run_report(tmp_path / "run" / "nothing") if (tmp_path / "run" / "nothing").mkdir() is None else None


def test_the_same_log_gives_the_same_json(make_log: Any, write_log: Any, trade_off: Any, tmp_path: Path) -> None:
    path = write_log(make_log(trade_off).columns)
    texts = [write_json(diagnose(RewardLog(path)), tmp_path / f"{run}.json").read_text() for run in range(2)]
    assert texts[0] == texts[1]
