"""A replay reads the logs of every writer that a diagnosis reads, most of them as the real program wrote them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from log_fixtures import json_lines, write_json_lines
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.core import Setting
from gd2po.diagnosis import RewardLog
from gd2po.replay import Replay, replay

DATA = Path(__file__).parents[1] / "logs" / "data"
TRACES = DATA / "verifiers" / "traces.jsonl"
ROWS: dict[str, list[Any]] = {
    "step": [1] * 8,
    "prompt": [[{"role": "user", "content": text}] for text in "aaaabbbb"],
    "completion": list("stuvwxyz"),
    "correct": [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0],
    "brief": [0.5, 0.25, 1.0, 0.0, 0.1, 0.2, 0.3, 0.4],
}


def trl(folder: Path) -> Path:
    return DATA / "trl" / "completions"


def wandb(folder: Path) -> Path:
    return DATA / "trl" / "wandb"


def trackio(folder: Path) -> Path:
    (folder / "conflicts.db").write_bytes(gzip.decompress((DATA / "trl" / "trackio" / "conflicts.db.gz").read_bytes()))
    return folder / "conflicts.db" / "tiny"


def verl(folder: Path) -> Path:
    rows = [
        {"input": prompt[0]["content"], "output": text, "gts": None, "score": correct + brief, "step": 1,
         "correct": correct, "brief": brief}
        for prompt, text, correct, brief in zip(*(ROWS[name] for name in list(ROWS)[1:]), strict=True)
    ]  # fmt: skip
    return write_json_lines(folder / "dump" / "1.jsonl", rows).parent


def swift(folder: Path) -> Path:
    return DATA / "swift"


def verifiers(folder: Path) -> Path:
    return TRACES


def verifiers_results(folder: Path) -> Path:
    return DATA / "verifiers" / "results.jsonl"


def prime_rl(folder: Path) -> Path:
    episodes = [
        episode | {"group": {"id": f"group {number % 2}"}, "run": {"type": "train", "work": {"step": 3}}}
        for number, episode in enumerate(json_lines(TRACES))
    ]
    write_json_lines(folder / "run" / "rollouts" / "step_4" / "train" / "effective" / "traces.jsonl", episodes)
    return folder / "run"


def arrow(folder: Path) -> Path:
    datasets.Dataset.from_dict(ROWS).save_to_disk(folder / "saved")
    return folder / "saved"


def replayed(source: str | Path, gold: str | None = None) -> Replay:
    settings = {name: Setting.named(name, "test") for name in ("gdpo", "gd2po-hard")}
    return replay(RewardLog(source), gold, settings=settings, learning_rates=[1.0])


@pytest.mark.parametrize(
    ("written", "rollouts", "groups", "judges"),
    [
        (trl, 32, 8, {"digits"}),  # and brief, which applies to too few of its rollouts to judge any
        (wandb, 32, 8, {"digits"}),
        (trackio, 32, 8, {"digits"}),
        (verl, 8, 2, {"correct", "brief"}),
        (swift, 32, 8, {"Digits", "Brief"}),
        (verifiers, 6, 2, {"correct", "brief"}),
        (verifiers_results, 6, 2, {"correct", "brief"}),
        (prime_rl, 6, 2, {"correct", "brief"}),
        (arrow, 8, 2, {"correct", "brief"}),
    ],
)
def test_every_reward_of_a_log_is_held_out_in_turn(
    tmp_path: Path, written: Callable[[Path], Path], rollouts: int, groups: int, judges: set[str]
) -> None:
    found = replayed(written(tmp_path))
    assert (found.rollouts, found.groups) == (rollouts, groups)
    assert {gold.gold for gold in found.golds} == judges
    for gold in found.golds:
        assert set(gold.rewards) | {gold.gold} in (judges, {"digits", "brief"})
        assert all(method.gain.value == method.gain.value for method in gold.methods)  # no NaN


def test_the_same_rollouts_give_the_same_numbers_wherever_they_were_logged(tmp_path: Path) -> None:
    one, *others = (replayed(written(tmp_path)).golds for written in (trl, wandb, trackio))
    assert [golds == one for golds in others] == [True, True]


def test_a_dataset_of_the_hub_is_replayed_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = arrow(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: datasets.load_from_disk(saved))
    assert replayed("me/my-log", "correct").golds == replayed(saved, "correct").golds


def test_the_command_line_takes_the_run_of_a_tracker(tmp_path: Path) -> None:
    shutil.copytree(wandb(tmp_path), tmp_path / "wandb")
    command = ["replay", str(tmp_path / "wandb"), "--gold", "digits", "--methods", "gdpo,grpo", "--learning_rates", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "digits" in result.output
