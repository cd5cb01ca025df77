"""`gd2po train --help` fits on a few screens; `--help-all` has every field."""

from __future__ import annotations

import dataclasses

import pytest
from trl import ModelConfig, SFTConfig

from gd2po import GD2POConfig
from gd2po.training.arguments import RunArguments, WarmStartArguments, parse_run, parse_warm_start
from gd2po.training.help import GROUPS

GROUPED = {name for names in GROUPS.values() for name in names}


def shown(parse: object, flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        parse([flag], "runs/x")  # type: ignore[operator]
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


def test_help_is_short_and_ours_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(parse_run, "--help", capsys)
    assert text.count("\n") < 220
    for name in (*(field.name for field in dataclasses.fields(RunArguments)), "advantage_estimator", "reward_weights"):
        assert f"--{name} " in text, name
    assert "--fsdp" not in text
    assert "--reward-funcs" not in text
    assert text.index("--reward_funcs") < text.index("--learning_rate")
    assert "gd2po train --help-all" in text


def test_help_all_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(parse_run, "--help-all", capsys)
    for part in (RunArguments, GD2POConfig, ModelConfig):
        for field in dataclasses.fields(part):
            assert f"--{field.name}" in text, field.name


def test_a_warm_start_has_the_same_help(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(parse_warm_start, "--help", capsys)
    assert text.count("\n") < 150
    assert "--dataset_name " in text
    assert "--max_length" in shown(parse_warm_start, "--help-all", capsys)


def test_every_field_of_a_group_is_one() -> None:
    parts = (RunArguments, WarmStartArguments, GD2POConfig, ModelConfig, SFTConfig)
    assert GROUPED - {"config"} <= {field.name for part in parts for field in dataclasses.fields(part)}
