"""The diagnosis as JSON: documented in docs/reward-logs.md, described by diagnosis.schema.json, versioned."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gd2po.diagnosis.model import SCHEMA_VERSION, Diagnosis
from gd2po.report.documents import to_document
from gd2po.runs.files import write_text


def to_json(diagnosis: Diagnosis) -> str:
    """A diagnosis as JSON text. What is undefined is null; group sizes are keys of an object.

    Example:
        >>> import json
        >>> json.loads(schema_text())["properties"]["schema_version"]["const"]
        2
    """
    return to_document("gd2po.diagnosis", SCHEMA_VERSION, diagnosis)


def write_json(diagnosis: Diagnosis, path: str | Path) -> Path:
    """Write the JSON; a reader of the old file never sees half of the new one."""
    return write_text(path, to_json(diagnosis))


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of what `to_json` writes."""
    return (resources.files("gd2po.diagnosis.views") / "diagnosis.schema.json").read_text(encoding="utf-8")
