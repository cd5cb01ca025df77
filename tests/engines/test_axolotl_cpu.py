"""axolotl as installed from the package index: its own configuration, loaders and `train`, two steps on a CPU."""

from __future__ import annotations

import inspect
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from axolotl.core.trainers.grpo.async_trainer import AsyncGRPOTrainer
from engine_runs import check_run
from log_fixtures import group_rewards
from trl import GRPOTrainer

from gd2po.data import builtin_model
from gd2po.diagnosis import RewardLog
from gd2po.errors import ConfigError
from gd2po.integrations import axolotl as host
from gd2po.integrations.doctor import supported_range

MODULE = """
def short(prompts, completions, **kwargs):
    return [float(len(text) < 40) for text in completions]


def letters(prompts, completions, **kwargs):
    return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in completions]


def prompt(cfg, *args, **kwargs):
    return lambda row, tokenizer=None: {"prompt": row["text"]}, {"remove_columns": ["text"]}
"""
CONFIG: dict[str, Any] = {
    "rl": "grpo",
    "plugins": ["gd2po.integrations.axolotl.Plugin"],
    "trl": {
        "num_generations": 4,
        "max_completion_length": 16,
        "reward_funcs": ["axolotl_rewards.short", "axolotl_rewards.letters"],
        "reward_weights": [1.0, 0.5],
        "beta": 0.0,
        "use_vllm": False,
    },
    "gd2po": {"method": "gd2po", "filtering": "hard"},
    "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "axolotl_rewards.prompt"}],
    "micro_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "max_steps": 2,
    "logging_steps": 1,
    "learning_rate": 0.001,
    "optimizer": "adamw_torch",
    "lr_scheduler": "constant",
    "sequence_len": 256,
    "bf16": False,
    "fp16": False,
    "tf32": False,
    "attn_implementation": "sdpa",
    "save_strategy": "no",
    "dataloader_num_workers": 0,
    "dataset_num_proc": 1,
}


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes a whole run with axolotl, some settings changed, and returns its trainer."""
    for name, value in {"AXOLOTL_DO_NOT_TRACK": "1", "ACCELERATE_USE_CPU": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "axolotl_rewards.py").write_text(MODULE)
    sys.modules.pop("axolotl_rewards", None)
    (tmp_path / "train.jsonl").write_text("".join(f'{{"text": "Say something about number {n}."}}\n' for n in range(8)))

    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_preference_datasets
    from axolotl.train import train as axolotl_train

    def start(**changed: Any) -> Any:
        paths = {"base_model": str(builtin_model("builtin:toolcalls")), "output_dir": str(tmp_path / "run")}
        config = {**CONFIG, **paths, **changed}
        config["gd2po"] = {**CONFIG["gd2po"], "log_folder": str(tmp_path / "log"), **changed.get("gd2po", {})}
        config["trl"] = {**CONFIG["trl"], **changed.get("trl", {})}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        cfg = load_cfg(str(tmp_path / "config.yaml"))
        return axolotl_train(cfg=cfg, dataset_meta=load_preference_datasets(cfg=cfg, cli_args=TrainerCliArgs()))[2]

    return start


def test_the_completions_that_axolotl_logs_are_read(train: Any, tmp_path: Path) -> None:
    train(trl={"log_completions": True})
    theirs, ours = RewardLog(tmp_path / "run"), RewardLog(tmp_path / "log")
    assert theirs.layout.format == "trl"
    assert theirs.layout.reward_names == ours.layout.reward_names == ["short", "letters"]
    assert np.allclose(group_rewards(theirs), group_rewards(ours))


def generate_as_axolotl_expects(self: Any, *args: Any, **kwargs: Any) -> Any:
    """`_generate_only` with what an earlier TRL gave it: the TRL that axolotl 0.19.0 pins has moved on."""

    def generate(prompts: list[Any]) -> tuple[Any, ...]:
        ids, completion_ids, tool_mask, completions, logps, extra, *_ = GRPOTrainer._generate(self, prompts)
        return ids, completion_ids, tool_mask, completions, torch.tensor(sum(map(len, completion_ids))), logps, extra

    self._generate = generate
    try:
        return AsyncGRPOTrainer._generate_only(self, *args, **kwargs)
    finally:
        del self._generate


@pytest.mark.parametrize(
    ("name", "trl"),
    [
        ("Trainer", {}),
        ("AsyncTrainer", {"use_data_producer": True}),
        ("AsyncTrainer", {"use_data_producer": True, "async_prefetch": True}),
        ("AsyncTrainer", {"use_data_producer": True, "async_prefetch": True, "replay_buffer_size": 4}),
    ],
    ids=["synchronous", "data producer", "prefetch", "replay buffer"],
)
def test_axolotl_trains_on_these_advantages_and_logs_them(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trl: dict[str, Any]
) -> None:
    given: list[list[float]] = []
    trainer_class = getattr(host, name)
    original = trainer_class._compute_loss

    def spy(self: Any, model: Any, inputs: dict[str, Any]) -> Any:
        given.append(inputs["advantages"].tolist())
        return original(self, model, inputs)

    monkeypatch.setattr(trainer_class, "_compute_loss", spy)
    if "async_prefetch" in trl:
        monkeypatch.setattr(trainer_class, "_generate_only", generate_as_axolotl_expects)
        for token in ("pad_token_id", "eos_token_id"):
            value = property(lambda self, token=token: getattr(self.processing_class, token))
            monkeypatch.setattr(trainer_class, token, value, raising=False)
    trainer = train(trl=trl)
    assert type(trainer) is trainer_class
    steps = [line for line in trainer.state.log_history if "conflict/rate" in line]
    options = {"method": "gd2po", "filtering": "hard", "reward_weights": [1.0, 0.5]}
    check_run(tmp_path / "log", steps, given, rewards=["short", "letters"], group_size=4, **options)
    assert all(step["grad_norm"] > 0 and "rewards/short/mean" in step for step in steps)
    assert sorted(trainer._logs["advantages"])[-1] == pytest.approx(max(given[-1]), abs=1e-5)


def test_prefetching_fails_in_axolotl_itself(train: Any) -> None:
    """When this test fails, axolotl can prefetch, and `generate_as_axolotl_expects` and a line of the docs can go."""
    with pytest.raises(ValueError, match="too many values to unpack"):
        train(trl={"use_data_producer": True, "async_prefetch": True})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rl": "gdpo"}, "`rl` must be 'grpo'"),
        ({"trl": {"scale_rewards": False}}, "`trl.scale_rewards` has no effect"),
        ({"trl": {"use_data_producer": True, "streaming_partial_batch": True}}, "`trl.streaming_partial_batch` scores"),
        ({"context_parallel_size": 2}, "`context_parallel_size` splits rollouts"),
        ({"trainer_cls": "mine.Trainer"}, "`trainer_cls` is named by gd2po's plug-in"),
        ({"gd2po": {"reward_weights": [1.0, 2.0]}}, "Give the weights once"),
        ({"gd2po": {"snr_treshold": 0.5}}, "Did you mean 'snr_threshold'"),
        ({"gd2po": {"reward_keys": ["short"]}}, "`gd2po.reward_keys` is the engine's list"),
    ],
)
def test_what_would_undo_the_advantages_is_refused_before_training(
    train: Any, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(**changed)


def test_axolotl_still_has_what_gd2po_replaces_and_calls() -> None:
    from axolotl.core.builders.rl import HFRLTrainerBuilder

    assert metadata.version("axolotl") in supported_range("axolotl")
    assert "trainer_cls" in HFRLTrainerBuilder._get_trainer_cls.__code__.co_names
    hook = list(inspect.signature(AsyncGRPOTrainer._post_advantage_hook).parameters)
    assert hook[:6] == ["self", "data", "rewards_per_func", "advantages", "inputs", "num_generations"]
    assert list(inspect.signature(AsyncGRPOTrainer._compute_deferred_scores).parameters) == ["self", "rollout"]
    assert "_post_advantage_hook" in AsyncGRPOTrainer._compute_deferred_scores.__wrapped__.__code__.co_names
    assert "_calculate_rewards" in GRPOTrainer._generate_and_score_completions.__code__.co_names
    assert list(inspect.signature(GRPOTrainer._generate_and_score_completions).parameters) == ["self", "inputs"]
