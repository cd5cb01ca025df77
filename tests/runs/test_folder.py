from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml

from gd2po.errors import ConfigError, RunFolderError
from gd2po.runs.folder import open_run_folder, write_config, write_summary


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    assert open_run_folder(str(tmp_path / "a" / "b"), None).is_dir()


def test_a_folder_with_another_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1")
    with pytest.raises(RunFolderError, match=r"is not empty.*`resume_from_checkpoint` .*checkpoint-<step>"):
        open_run_folder(str(tmp_path), None)
    assert (tmp_path / "config.yaml").read_text() == "seed: 1"


def test_a_run_may_go_on_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-5").mkdir()
    assert open_run_folder(str(tmp_path), str(tmp_path / "checkpoint-5")) == tmp_path


def test_a_run_may_not_go_on_in_the_folder_of_another(tmp_path: Path) -> None:
    for run in ("first", "second"):
        (tmp_path / run / "checkpoint-5").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="is not empty"):
        open_run_folder(str(tmp_path / "second"), str(tmp_path / "first" / "checkpoint-5"))


def test_a_missing_checkpoint_and_a_file_in_the_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no 'nowhere'"):
        open_run_folder(str(tmp_path), "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="is a file"):
        open_run_folder(str(tmp_path / "file"), None)


def test_what_is_written_is_valid_yaml_and_json(tmp_path: Path) -> None:
    write_config(tmp_path, {"seed": 1, "name": "naïve", "nothing": None, "path": Path("x"), "several": (1, 2)})
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {
        "seed": 1,
        "name": "naïve",
        "nothing": None,
        "path": "x",
        "several": [1, 2],
    }
    write_summary(tmp_path, {"mean": math.nan, "nested": {"rate": 0.5}})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"mean": None, "nested": {"rate": 0.5}}
