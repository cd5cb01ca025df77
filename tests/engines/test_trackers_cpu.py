"""Real runs that report to the real W&B (offline), trackio (its local store) and TensorBoard: names and report."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STORE = Path(tempfile.mkdtemp())
os.environ |= {  # trackio reads its folder when it is imported
    "TRACKIO_DIR": str(STORE / "trackio"),
    "WANDB_DIR": str(STORE),
    "WANDB_MODE": "offline",
    "WANDB_CONSOLE": "off",
    "HF_HUB_OFFLINE": "1",
}
os.environ.pop("TENSORBOARD_LOGGING_DIR", None)

import pytest
import trackio
import wandb
from datasets import Dataset
from host_metrics import metric_names
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trl import GRPOConfig, GRPOTrainer
from wandb.proto import wandb_internal_pb2

from gd2po.data import builtin_model
from gd2po.integrations.trl import DiagnosisCallback
from gd2po.training.train import train_command

REWARDS = ["tool_call_correctness", "tool_call_format", "think_length"]
TRACKERS = ["wandb", "trackio", "tensorboard"]
RUN = [
    *("--max_steps", "2", "--per_device_train_batch_size", "4", "--num_generations", "4", "--logging_steps", "1"),
    *("--max_completion_length", "48", "--eval_prompts", "4", "--dataset_size", "64", "--save_strategy", "no"),
    *("--report_to", *TRACKERS, "--advantage_estimator", "gdpo"),
]


def wandb_records(log: Path) -> Iterator[wandb_internal_pb2.Record]:
    """What `wandb sync` would send: a log of LevelDB, whose blocks of 32 KiB hold parts of records."""
    content, at, parts = log.read_bytes(), 7, b""  # after W&B's own header
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<4xHB", content[at : at + 7])
        if at + 7 + length > len(content):  # still being written
            return
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def wandb_summary(log: Path) -> dict[str, Any]:
    """The last value under each name."""
    deadline = time.monotonic() + 30
    while (records := list(wandb_records(log))) and not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # W&B writes the end in another process
    found = {}
    for record in records:
        for item in (*record.history.item, *record.summary.update):
            found[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return found


class Tracked:
    """What the trackers hold of a run."""

    def __init__(self, folder: Path, trackio_run: str) -> None:
        self.folder, self.trackio_run = folder, trackio_run
        (events,) = (folder / "runs").iterdir()
        self.tensorboard = EventAccumulator(str(events)).Reload()
        self.wandb = Path(wandb.run.dir)
        wandb.finish()  # as at the end of the process
        (log,) = self.wandb.parent.glob("*.wandb")
        self.wandb_summary = wandb_summary(log)
        with sqlite3.connect(STORE / "trackio" / "huggingface.db") as store:
            rows = store.execute("SELECT metrics FROM metrics WHERE run_name = ? ORDER BY id", [trackio_run]).fetchall()
            self.trackio = [json.loads(row) for (row,) in rows]
            (config,) = store.execute("SELECT config FROM configs WHERE run_name = ?", [trackio_run]).fetchone()
        self.trackio_config = json.loads(config)

    @property
    def page(self) -> bytes:
        return (self.folder / "report.html").read_bytes()

    @property
    def verdict(self) -> str:
        verdict: str = json.loads((self.folder / "report.json").read_text())["verdict"]["headline"]
        return verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    assert train_command([*RUN, "--output_dir", str(folder)]) == 0
    return Tracked(folder, "mine")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """TRL's own trainer with our callback, and a run that trackio has to name."""
    folder = tmp_path_factory.mktemp("runs") / "plain"

    def brief(completions: list[str], **kwargs: Any) -> list[float]:
        return [-float(len(text)) for text in completions]

    def vowels(completions: list[str], **kwargs: Any) -> list[float]:
        return [float(sum(letter in "aeiou" for letter in text)) for text in completions]

    settings = {
        "output_dir": str(folder), "report_to": TRACKERS, "log_completions": True, "num_completions_to_print": 1,
        "num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 8, "max_steps": 2,
        "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
    }  # fmt: skip
    trainer = GRPOTrainer(
        model=builtin_model("builtin:toolcalls"),
        reward_funcs=[brief, vowels],
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_dict({"prompt": ["One?", "Two?"] * 4}),
        callbacks=[DiagnosisCallback(every_n_steps=1)],
    )
    trainer.train()
    with sqlite3.connect(STORE / "trackio" / "huggingface.db") as store:
        names = store.execute("SELECT DISTINCT run_name FROM metrics WHERE run_name != 'mine'").fetchall()
    ((name,),) = names
    return Tracked(folder, name)


def conflict_names(names: Any) -> set[str]:
    return {name for name in names if name.startswith("train/conflict/")}


def test_every_tracker_has_the_metrics_under_the_same_names(run: Tracked) -> None:
    named = {f"train/{name}" for name in metric_names(REWARDS)} | {
        "train/conflict/skipped_rows",
        "train/conflict/skipped_tokens",
    }
    assert conflict_names(run.tensorboard.Tags()["scalars"]) == named
    assert conflict_names(run.wandb_summary) == named
    assert conflict_names(name for row in run.trackio for name in row) == named
    assert run.wandb_summary["train/global_step"] == 2


def test_every_tracker_has_the_report(run: Tracked) -> None:
    (of_wandb,) = (run.wandb / "media" / "html").iterdir()
    assert of_wandb.read_bytes() == run.page
    assert run.wandb_summary["report.path"] == f"media/html/{of_wandb.name}"
    assert run.wandb_summary["verdict"] == run.verdict
    (of_trackio,) = (row["report"] for row in run.trackio if "report" in row)
    assert (STORE / "trackio" / "media" / of_trackio["file_path"]).read_bytes() == run.page
    (text,) = run.tensorboard.Tensors("report/text_summary")
    assert text.step == 2
    shown = text.tensor_proto.string_val[0].decode()
    assert run.verdict in shown
    assert str(run.folder / "report.html") in shown


def test_trackio_keeps_the_settings_of_the_run(run: Tracked) -> None:
    assert run.trackio_config["advantage_estimator"] == "gdpo"
    assert run.trackio_config["max_steps"] == 2
    assert trackio.context_vars.current_run.get() is None


def test_a_plain_run_of_trl_has_its_last_report_there_too(plain: Tracked) -> None:
    (of_wandb,) = (plain.wandb / "media" / "html").iterdir()
    assert of_wandb.read_bytes() == plain.page
    (of_trackio,) = (row["report"] for row in plain.trackio if "report" in row)
    assert (STORE / "trackio" / "media" / of_trackio["file_path"]).read_bytes() == plain.page
    assert plain.trackio_config["max_completion_length"] == 8
    (text,) = plain.tensorboard.Tensors("report/text_summary")
    assert plain.verdict in text.tensor_proto.string_val[0].decode()
