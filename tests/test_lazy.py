"""Names that are imported when they are first asked for."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from gd2po.lazy import lazy_name

HOMES = {"sqrt": "math"}


def test_a_name_is_imported_from_its_home_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("lazy_package")
    monkeypatch.setitem(sys.modules, "lazy_package", package)
    assert lazy_name("lazy_package", HOMES, "sqrt")(4.0) == 2.0
    assert package.__dict__["sqrt"](9.0) == 3.0


def test_a_name_without_a_home_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'cbrt'"):
        lazy_name("lazy_package", HOMES, "cbrt")
