"""The diagnosis as JSON: documented in docs/reward-logs.md, described by diagnosis.schema.json, versioned."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

from gd2po.diagnosis.model import SCHEMA_VERSION, Diagnosis
from gd2po.diagnosis.page import write_whole


def to_json(diagnosis: Diagnosis) -> str:
    """A diagnosis as JSON text. What is undefined is null; group sizes are keys of an object.

    Example:
        >>> json.loads(schema_text())["properties"]["schema_version"]["const"]
        1
    """
    document = {"schema": "gd2po.diagnosis", "schema_version": SCHEMA_VERSION, **dataclasses.asdict(diagnosis)}
    return json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_json(diagnosis: Diagnosis, path: str | Path) -> Path:
    """Write the JSON; a reader of the old file never sees half of the new one."""
    return write_whole(path, to_json(diagnosis))


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of what `to_json` writes."""
    return (resources.files("gd2po.diagnosis") / "diagnosis.schema.json").read_text(encoding="utf-8")


def plain(value: Any) -> Any:
    """Values that JSON knows: an undefined number is null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
