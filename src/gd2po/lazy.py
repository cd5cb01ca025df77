"""Names of a package that are imported from their homes when they are first asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def lazy_name(package: str, homes: Mapping[str, str], name: str) -> Any:
    """What a package's `__getattr__` returns.

    Args:
        package: its `__name__`.
        homes: module by name.
        name: that is asked for.

    Raises:
        AttributeError: no module is the name's home.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(import_module(homes[name]), name)
    setattr(sys.modules[package], name, value)
    return value
