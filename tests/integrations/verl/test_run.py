"""Whole runs of verl on the CPU, from the launch script of the examples: two steps in either of its trainers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import verl_parts  # noqa: F401  # skips this module where verl is not installed
from host_metrics import metric_names

from gd2po.data import builtin_model, load_toolcalls

ROOT = Path(__file__).parents[3]
REWARDS = ["tool_call_correctness", "tool_call_format", "think_length"]

# What the script of the examples needs in order to run here: few and small batches, and no accelerator.
SMALL = [
    "algorithm.gd2po.snr_threshold=0.3",
    "reward.custom_reward_function.reward_kwargs.reward_kwargs.think_length.target_words=32",
    "reward.num_workers=1",
    "data.train_batch_size=8",
    "data.max_prompt_length=256",
    "data.max_response_length=64",
    "data.dataloader_num_workers=0",
    "actor_rollout_ref.model.use_remove_padding=false",
    "actor_rollout_ref.model.enable_gradient_checkpointing=false",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.actor.strategy=fsdp2",
    "actor_rollout_ref.actor.optim.lr=1e-4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.actor.use_torch_compile=false",
    "actor_rollout_ref.actor.fsdp_config.dtype=float32",
    "actor_rollout_ref.rollout.name=cpu",
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "actor_rollout_ref.rollout.n_gpus_per_node=1",
    "trainer.device=cpu",
    "trainer.total_training_steps=2",
    "trainer.val_before_train=false",
    "trainer.save_freq=-1",
    "trainer.test_freq=-1",
    "ray_kwargs.ray_init.num_cpus=32",  # of Ray's bookkeeping; a placement group of verl asks for ten
    "+ray_kwargs.ray_init.num_gpus=1",
    "+ray_kwargs.ray_init.include_dashboard=false",
]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of the built-in task in verl's schema."""
    from datasets import Dataset

    rows = [
        {"prompt": row["prompt"], "data_source": "toolcalls", "reward_model": {"ground_truth": row["answer"]}}
        for row in load_toolcalls("train", 64)
    ]
    path = tmp_path_factory.mktemp("prompts") / "train.parquet"
    Dataset.from_list(rows).to_parquet(path)
    return path


@pytest.mark.timeout(900)
@pytest.mark.parametrize("use_v1", [True, False], ids=["default trainer", "legacy trainer"])
def test_two_steps_train_filter_and_log_what_can_be_diagnosed(prompts: Path, tmp_path: Path, use_v1: bool) -> None:
    environment = {
        "PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": "ignore",
        "VERL_USE_EXTERNAL_MODULES": "verl_cpu",
        "TRAIN": str(prompts),
        "TEST": str(prompts),
        "MODEL": str(builtin_model("builtin:toolcalls")),
        "RUN": str(tmp_path),
        "GPUS": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    result = subprocess.run(
        ["bash", str(ROOT / "examples/verl/tool_calling.sh"), *SMALL, f"trainer.use_v1={use_v1}"],
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
        env=os.environ | environment,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    lines = re.findall(r"step:\d+( .*)", result.stdout)
    steps = [dict(re.findall(r" - ([\w/]+):(?:np\.float64\()?([-+\w.]+)", line)) for line in lines]
    assert len(steps) == 2
    for metrics in steps:
        assert 0 < float(metrics["conflict/filtered_rate"]) < float(metrics["conflict/rate"]) < 1
        assert {name for name in metrics if name.startswith("conflict/")} == metric_names(REWARDS)
        assert -3 <= float(metrics["rewards/tool_call_correctness/mean"]) <= 3
        assert float(metrics["actor/grad_norm"]) > 0

    check_rollout_log(tmp_path, steps)
    diagnosed = subprocess.run(
        [sys.executable, "-m", "gd2po", "diagnose", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert diagnosed.returncode == 0, diagnosed.stderr
    assert all(name in diagnosed.stdout for name in REWARDS)


def check_rollout_log(run: Path, steps: list[dict[str, str]]) -> None:
    """The log of two steps of eight prompts with four rollouts each says the same as verl's own metrics."""
    files = sorted(path.name for path in (run / "rollouts").iterdir())
    assert files == ["step_000001.parquet", "step_000002.parquet"]
    for step, (name, metrics) in enumerate(zip(files, steps, strict=True), start=1):
        log = pd.read_parquet(run / "rollouts" / name)
        assert log["step"].tolist() == [step] * 32
        groups = log.groupby("group")
        assert groups.size().tolist() == [4] * 8
        assert groups["prompt"].nunique().tolist() == [1] * 8
        assert log["prompt"].str.contains("user").all()
        assert log["prompt"].nunique() > 1
        assert log["completion"].nunique() > 8
        assert not log["completion"].str.contains("<|pad|>", regex=False).any()
        assert log["completion_tokens"].between(1, 64).all()
        assert 1 - log["kept"].mean() == pytest.approx(float(metrics["conflict/filtered_rate"]), abs=1e-3)
        for reward in REWARDS:
            assert log[f"reward/{reward}"].mean() == pytest.approx(float(metrics[f"rewards/{reward}/mean"]), abs=1e-3)
