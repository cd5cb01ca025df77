"""Run folders as numbers: the held-out curve of each run, what its filter kept, and what it cost."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import Plan
from gd2po.core.metrics import PREFIX
from gd2po.errors import RunFolderError
from gd2po.runs.checkpoints import STATE
from gd2po.runs.evaluations import EVALUATIONS, read_evaluations, shares_over
from gd2po.runs.rollout_files import FOLDER, rollout_files


@dataclass(frozen=True)
class Run:
    """One method with one seed."""

    method: str
    seed: int
    status: Literal["done", "failed", "missing"]
    error: str | None = None
    """Why it failed, in a line."""
    curve: tuple[tuple[int, dict[str, float | None]], ...] = ()
    """Step and held-out means by name: evaluation functions, then rewards; None where one applied to no prompt."""
    shares: frozenset[str] = frozenset()
    """Names of the scores that were 0 or 1 at every prompt and step: their means are shares of the prompts."""
    filter: Mapping[str, float] | None = None
    """Means over the steps of the trainer's metrics of conflicts, without their prefix."""
    seconds_per_step: float | None = None
    """Generation, rewards and update; without evaluations."""
    tokens_per_step: float | None = None
    """Tokens of the completions."""
    rollouts_per_step: float | None = None
    prompts_digest: str | None = None
    """Of all prompts in their order: equal where two runs have trained on the same."""

    @property
    def final(self) -> dict[str, float | None]:
        """The scores at the end."""
        return self.curve[-1][1] if self.curve else {}


def read_runs(plan: Plan, folder: Path) -> list[Run]:
    """All runs of a comparison in the plan's order.

    Raises:
        RunFolderError: a finished run's folder lacks what a run leaves behind.
    """
    return [read_run(folder, method, seed) for method, seed in plan.runs]


def read_run(folder: Path, method: str, seed: int) -> Run:
    """One run; one that has not come to its end has no numbers.

    Raises:
        RunFolderError: it is done, and its folder cannot be read.
    """
    target = files.run_folder(folder, method, seed)
    if not files.is_done(target):
        error = files.error_file(folder, method, seed)
        if error.is_file():
            return Run(method, seed, "failed", error.read_text(encoding="utf-8").strip())
        return Run(method, seed, "missing")
    try:
        evaluations = read_evaluations(target)
        if not evaluations:
            raise ValueError(f"no {EVALUATIONS}")
        history = json.loads((target / STATE).read_text(encoding="utf-8"))["log_history"]
        digest, tokens, rollouts = _rollouts(target)
        curve = tuple((entry["step"], _means(entry)) for entry in evaluations)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{target} is a finished run that cannot be read ({type(error).__name__}: {error}). Remove that folder, "
            "and the same command runs it again."
        ) from error
    return Run(
        method,
        seed,
        "done",
        curve=curve,
        shares=shares_over(evaluations),
        filter=_filter_means(history),
        seconds_per_step=_mean([entry["step_time"] for entry in history if "step_time" in entry]),
        tokens_per_step=tokens,
        rollouts_per_step=rollouts,
        prompts_digest=digest,
    )


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """Names of the held-out scores: of evaluation functions first, then of rewards."""
    names: dict[str, None] = {}
    for run in runs:
        for _, values in run.curve:
            names |= dict.fromkeys(values)
    return list(names)


def shares_of(runs: Sequence[Run]) -> list[str]:
    """Those of the held-out scores that are a share of the prompts in every run that has them."""
    claimed = {name for run in runs for name in run.shares}
    graded = {
        name
        for run in runs
        for _, values in run.curve
        for name, value in values.items()
        if value is not None and name not in run.shares
    }
    return [name for name in metrics_of(runs) if name in claimed - graded]


def _means(entry: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        name: None if mean is None else float(mean)
        for kind in ("metrics", "rewards")
        for name, mean in entry[kind].items()
    }


def _filter_means(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean over the steps at which a metric is defined."""
    values: dict[str, list[float]] = {}
    for entry in history:
        for key, value in entry.items():
            if key.startswith(f"{PREFIX}/") and isinstance(value, (int, float)) and math.isfinite(value):
                values.setdefault(key.removeprefix(f"{PREFIX}/"), []).append(float(value))
    return {key: sum(numbers) / len(numbers) for key, numbers in values.items()}


def _rollouts(run: Path) -> tuple[str, float, float]:
    """Digest of the prompts, and completion tokens and rollouts per step."""
    digest, tokens, rollouts, steps = hashlib.sha256(), 0, 0, set()
    for file in rollout_files(run / FOLDER):
        table = pq.read_table(file.path, columns=["step", "prompt", "completion_tokens"])
        for prompt in table["prompt"].to_pylist():
            digest.update(str(prompt).encode("utf-8", "surrogatepass") + b"\0")
        tokens += sum(table["completion_tokens"].to_pylist())
        rollouts += len(table)
        steps |= set(table["step"].to_pylist())
    if not steps:
        raise ValueError("no rollouts")
    return digest.hexdigest(), tokens / len(steps), rollouts / len(steps)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
