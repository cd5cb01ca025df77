"""Any other table: nothing is known, and everything is guessed from names and values."""

from __future__ import annotations

from gd2po.logs.dialects.base import Dialect

DIALECT = Dialect(name="plain", title="a plain table", recognises=lambda columns: True)
