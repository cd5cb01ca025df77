"""What holds for a run of any engine with gd2po's advantages: its metrics, its rollout log, what its loss was given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from host_metrics import metric_names

from gd2po import advantages


def recomputed(log: pd.DataFrame, rewards: Sequence[str], **options: Any) -> list[float]:
    """The advantages of a logged batch, from the rewards that were logged."""
    matrix = torch.tensor(log[[f"reward/{name}" for name in rewards]].to_numpy(), dtype=torch.float64)
    tokens = torch.tensor(log["completion_tokens"].to_numpy())
    result = advantages(matrix, torch.tensor(log["group"].to_numpy()), token_counts=tokens, **options)
    return result.loss_advantages.tolist()


def check_run(
    folder: Path,
    metrics: Sequence[Mapping[str, Any]],
    given: Sequence[Sequence[float]],
    *,
    rewards: Sequence[str],
    group_size: int,
    **options: Any,
) -> None:
    """Check a finished run.

    Args:
        folder: with the rollout log.
        metrics: of each step.
        given: the advantages that the loss of each step was given, in any order.
        rewards: their names.
        group_size: rollouts of a prompt.
        options: of `advantages`, as the run was configured.
    """
    files = sorted((folder / "rollouts").iterdir())
    assert [file.name for file in files] == [f"step_{step:06}.parquet" for step in range(1, len(metrics) + 1)]
    for file, logged, used in zip(files, metrics, given, strict=True):
        log = pd.read_parquet(file)
        assert {name for name in logged if name.startswith("conflict/")} == metric_names(rewards)
        assert log.groupby("group").size().tolist() == [group_size] * (len(log) // group_size)
        assert log.groupby("group")["prompt"].nunique().max() == 1
        assert log["prompt"].nunique() > 1
        assert log["completion"].nunique() > len(log) // 2
        expected = sorted(recomputed(log, rewards, **options))
        assert sorted(used) == pytest.approx(expected, abs=1e-5)
        assert any(used)
        assert 1 - log["kept"].mean() == pytest.approx(logged["conflict/filtered_rate"], abs=1e-3)
    command = [sys.executable, "-W", "ignore", "-m", "gd2po", "diagnose", str(folder)]
    diagnosed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert diagnosed.returncode == 0, diagnosed.stderr
    assert all(name in diagnosed.stdout for name in rewards)
