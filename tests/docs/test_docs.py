"""What the docs say of defaults is what the code has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from trl import GRPOConfig

from gd2po import GD2POConfig
from gd2po.training.arguments import RunArguments

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_fields_has_every_field_with_its_default() -> None:
    inherited = {field.name for field in dataclasses.fields(GRPOConfig)}
    defaults = {field.name: str(field.default) for field in dataclasses.fields(GD2POConfig)}
    redefined = set(vars(GD2POConfig)["__annotations__"])
    own = {name: default for name, default in defaults.items() if name not in inherited - redefined}
    table = dict(re.findall(r"^\| `(\w+)` \| `?([\w.-]+)`? \|", (DOCS / "trl.md").read_text(), re.MULTILINE))
    assert table == own


def test_every_field_of_the_command_is_shown_as_an_option() -> None:
    section = (DOCS / "trl.md").read_text().split("## On the command line\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    shown = set(re.findall(r"`--(\w+)", "\n".join(cells)))
    fields = {field.name for field in dataclasses.fields(RunArguments)}
    assert fields | {"config", "resume_from_checkpoint"} == shown
