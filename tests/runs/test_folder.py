from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from run_checkpoints import write_checkpoint

from gd2po.errors import ConfigError, OutputWriteError, RunFolderError
from gd2po.runs.folder import open_run_folder, write_config, write_summary


def opened(output_dir: Path, resume_from: str | None = None) -> Path:
    with open_run_folder(str(output_dir), resume_from) as folder:
        return folder.path


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    assert opened(tmp_path / "a" / "b").is_dir()


def test_a_folder_with_another_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1")
    with pytest.raises(RunFolderError, match=r"is not empty.*`resume_from_checkpoint` latest"):
        opened(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "seed: 1"
    assert not (tmp_path / ".lock").exists()


def test_a_run_may_go_on_in_its_own_folder(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    with open_run_folder(str(tmp_path), str(checkpoint)) as folder:
        assert (folder.path, folder.checkpoint) == (tmp_path, str(checkpoint))
    with open_run_folder(str(tmp_path), "latest") as folder:
        assert folder.checkpoint == str(checkpoint)


def test_a_run_may_not_go_on_in_the_folder_of_another(tmp_path: Path) -> None:
    for run in ("first", "second"):
        write_checkpoint(tmp_path / run, 5)
    with pytest.raises(RunFolderError, match="is not empty"):
        opened(tmp_path / "second", str(tmp_path / "first" / "checkpoint-5"))


def test_a_missing_checkpoint_and_a_file_in_the_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a checkpoint folder or 'latest': there is no 'nowhere'"):
        opened(tmp_path, "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="is a file"):
        opened(tmp_path / "file")


def test_places_that_no_folder_can_have_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputWriteError, match="run cannot be written: a file stands where a folder has to be"):
        opened(tmp_path / "file" / "run")
    (tmp_path / "one").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "one")
    with pytest.raises(OutputWriteError, match="run cannot be written: its symbolic links lead in a circle"):
        opened(tmp_path / "one" / "run")
    with pytest.raises(OutputWriteError, match="its name is too long"):
        opened(tmp_path / ("n" * 300))


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    with (
        open_run_folder(str(tmp_path), str(checkpoint)),
        pytest.raises(RunFolderError, match="Another run is at work in .* Wait for it to end"),
        open_run_folder(str(tmp_path), str(checkpoint)),
    ):
        pass
    assert opened(tmp_path, str(checkpoint)) == tmp_path


def test_the_other_processes_of_a_run_share_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run_folder(str(tmp_path), None):
        monkeypatch.setenv("RANK", "1")
        assert opened(tmp_path) == tmp_path


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
