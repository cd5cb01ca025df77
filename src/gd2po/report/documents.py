"""JSON documents: a dataclass with the name and version of its schema."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any


def to_document(schema: str, version: int, content: Any) -> str:
    """A dataclass as JSON text. What is undefined is null.

    Args:
        schema: name of the document's schema.
        version: of the schema.
        content: a dataclass of plain values.
    """
    document = {"schema": schema, "schema_version": version, **dataclasses.asdict(content)}
    return json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def plain(value: Any) -> Any:
    """Values that JSON and YAML know: an undefined number is null, anything unknown its text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
