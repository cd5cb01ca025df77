"""What the trainer adds to TRL's, as a share of a quickstart step: advantages, diagnostics and all logging.

    python benchmarks/overhead.py [--steps 5] [--threads 2]

Runs the first steps of the quickstart. The time counted is that of the advantages, the diagnostics and the
logging, the file of the rollout log included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _timing import Measurement, report
from transformers import PrinterCallback, TrainerCallback

from gd2po import GD2POTrainer
from gd2po.data import builtin_model
from gd2po.training.arguments import parse_run
from gd2po.training.setup import load_reward_funcs, load_train_prompts

LIMIT = 0.01


class StepTimes(TrainerCallback):  # type: ignore[misc]
    """Milliseconds of every training step."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.milliseconds.append(1e3 * (time.perf_counter() - self._start))


def timed(function: Callable[..., Any], milliseconds: list[float]) -> Callable[..., Any]:
    """The function, with the time of each call kept."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        milliseconds.append(1e3 * (time.perf_counter() - start))
        return result

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="of training (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    with tempfile.TemporaryDirectory() as folder:
        run = [
            "--max_steps",
            str(options.steps),
            "--save_strategy",
            "no",
            "--report_to",
            "none",
            "--disable_tqdm",
            "true",
        ]
        parsed = parse_run([*run, "--log_rollouts", "true"], output_dir=folder)
        steps, advantages, records = StepTimes(), list[float](), list[float]()
        trainer = GD2POTrainer(
            str(builtin_model("builtin:toolcalls")),
            load_reward_funcs(parsed.run),
            parsed.training,
            train_dataset=load_train_prompts(parsed.run),
            callbacks=[steps],
        )
        trainer._session.advantages = timed(trainer._session.advantages, advantages)
        trainer._record = timed(trainer._record, records)
        trainer.remove_callback(PrinterCallback)
        trainer.train()

    ours = statistics.median(a + r for a, r in zip(advantages, records, strict=True))
    step = statistics.median(steps.milliseconds)
    share = ours / step
    measurements = [
        Measurement("advantages", statistics.median(advantages)),
        Measurement("diagnostics and logging", statistics.median(records)),
        Measurement(f"both: {share:.2%} of a step", ours, None, f"<= {LIMIT:.0%}", share <= LIMIT),
        Measurement("step", step),
    ]
    title = f"Overhead in {options.steps} steps of the quickstart, {options.threads} threads, medians"
    report(title, measurements, options.json)


if __name__ == "__main__":
    main()
