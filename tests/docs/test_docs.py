"""What the docs say of defaults is what the code has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from trl import GRPOConfig

from gd2po import GD2POConfig
from gd2po.training.arguments import RunArguments, parse_run

DOCS = Path(__file__).parents[2] / "docs"
CPU = {"use_cpu": True, "bf16": False}


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


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", (DOCS / "trl.md").read_text(), re.DOTALL))
def test_the_configurations_of_the_page_are_understood(block: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CPU) + block)
    parsed = parse_run(["--config", str(tmp_path / "run.yaml")], "runs/x")
    assert yaml.safe_load(block).keys() <= parsed.changed.keys()


def ways_of_writing() -> list[tuple[str, str, str]]:
    """Option, words of a command line and YAML of each row of the table, with all that it says is the same."""
    section = (DOCS / "trl.md").read_text().split("## How options of rewards are written\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    found = []
    for options, words, in_yaml in rows:
        for option in re.findall(r"`(\w+)`", options):
            told, forms = re.findall(r"`([^`]+)`", words), re.findall(r"`([^`]+)`", in_yaml)
            by_name = {form.startswith("{"): form for form in forms}
            found += [(option, one, by_name["=" in one]) for one in told]
            found += [(option, form, form) for form in forms]
    return found


@pytest.mark.parametrize(("option", "words", "in_yaml"), ways_of_writing())
def test_the_ways_to_write_an_option_are_the_same(option: str, words: str, in_yaml: str, tmp_path: Path) -> None:
    values = {**CPU, "eval_prompts": 1, option: yaml.safe_load(in_yaml)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    from_yaml = parse_run(["--config", str(tmp_path / "run.yaml")], "runs/x").resolved[option]
    own = ["--use_cpu", "--bf16", "false", "--eval_prompts", "1", "--model_name_or_path", "m"]
    given = [words] if words.startswith(("{", "[")) else words.split()
    assert parse_run([*own, f"--{option}", *given], "runs/x").resolved[option] == from_yaml
