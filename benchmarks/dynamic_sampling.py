"""What dynamic sampling buys per generated token: runs with and without it, on the built-in task and with dead prompts.

    python benchmarks/dynamic_sampling.py
    python benchmarks/dynamic_sampling.py --steps 40 --prompts 16 --method gdpo --seeds 0 1 2

Each run trains the built-in policy. A dead prompt gives all its rollouts the same rewards, so that its group has no
signal; it is part of the data, and the trainer cannot know it beforehand. Per 1,000 completion tokens, also those of
discarded rollouts:

* signal: sum of `abs(advantage)` over what is trained on, before whitening, whose scale follows the batch;
* rollouts: those trained on whose advantage is not 0.

Per 1,000,000 of them, gain: how much the mean of the rewards of live prompts rose from the first quarter of what was
generated to the last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from gd2po import GD2POTrainer
from gd2po.data import builtin_model
from gd2po.training.arguments import parse_run
from gd2po.training.setup import load_reward_funcs, load_train_prompts

GROUP_SIZE = 8
SHOWN = ("silent", "batches", "tokens", "signal", "rollouts", "gain")


@dataclass(frozen=True)
class Run:
    """One run in numbers."""

    dead: float
    dynamic: bool
    seed: int
    silent: float
    """Share of the generated groups without signal."""
    batches: float
    """How often was generated for a step."""
    tokens: int
    signal: float
    rollouts: float
    gain: float


def is_dead(prompt: Any, share: float) -> bool:
    """A fixed share of the prompts, by their text."""
    return zlib.crc32(repr(prompt).encode()) % 1000 < share * 1000


def on_live_prompts(reward: Callable[..., Any], share: float) -> Callable[..., Any]:
    """The reward, which does not tell the rollouts of a dead prompt apart."""

    def live(prompts: Sequence[Any], **kwargs: Any) -> list[float | None]:
        scores = reward(prompts=prompts, **kwargs)
        return [0.0 if is_dead(prompt, share) else score for prompt, score in zip(prompts, scores, strict=True)]

    live.__name__ = reward.__name__
    return live


class CountingTrainer(GD2POTrainer):
    """Counts what it generates and what it trains on."""

    def __init__(self, *args: Any, dead: float, **kwargs: Any) -> None:
        self.dead, self.tokens, self.signal, self.rollouts, self.means = dead, 0, 0.0, 0, list[float]()
        super().__init__(*args, **kwargs)

    def _generate_once(self, inputs: Any) -> Any:
        output, rewards = super()._generate_once(inputs)
        self.tokens += int(output["completion_mask"].sum())
        live = rewards[torch.tensor([not is_dead(row["prompt"], self.dead) for row in inputs])]
        if len(live):
            self.means.append(float(live.nanmean()))
        return output, rewards

    def _record(self, rewards: Any, group_ids: Any, result: Any, token_counts: Any) -> None:
        self.signal += float(result.unwhitened.abs().sum())
        self.rollouts += int((result.unwhitened.abs() > 1e-5).sum())
        super()._record(rewards, group_ids, result, token_counts)


def train(options: argparse.Namespace, dead: float, dynamic: bool, seed: int) -> Run:
    """Train, and count."""
    settings = {
        "max_steps": options.steps, "num_generations": GROUP_SIZE, "gradient_accumulation_steps": 1,
        "per_device_train_batch_size": options.prompts * GROUP_SIZE, "max_completion_length": 64,
        "advantage_estimator": options.method, "dynamic_sampling": dynamic, "seed": seed, "eval_prompts": 0,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        parsed = parse_run(words, output_dir=folder)
        trainer = CountingTrainer(
            str(builtin_model("builtin:toolcalls")),
            [on_live_prompts(reward, dead) for reward in load_reward_funcs(parsed.run)],
            parsed.training,
            train_dataset=load_train_prompts(parsed.run),
            dead=dead,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    log = [entry for entry in trainer.state.log_history if "reward" in entry]
    drawn = "drawn_" if dynamic else ""
    silent = [entry[f"conflict/{drawn}{kind}_group_rate"] for entry in log for kind in ("zero_signal", "cancelled")]
    quarter = max(1, len(trainer.means) // 4)
    rise = statistics.fmean(trainer.means[-quarter:]) - statistics.fmean(trainer.means[:quarter])
    batches = statistics.fmean(entry.get("conflict/num_gen_batches", 1.0) for entry in log)
    signal, rollouts = (1e3 * count / trainer.tokens for count in (trainer.signal, trainer.rollouts))
    gain = 1e6 * rise / trainer.tokens
    return Run(dead, dynamic, seed, sum(silent) / len(log), batches, trainer.tokens, signal, rollouts, gain)


def print_runs(runs: Sequence[Run]) -> None:
    """Means over the seeds."""
    print(f"{'dead':>5} {'dynamic':>8}" + "".join(f"{name:>10}" for name in SHOWN))
    for dead, dynamic in dict.fromkeys((run.dead, run.dynamic) for run in runs):
        mine = [run for run in runs if (run.dead, run.dynamic) == (dead, dynamic)]
        means = (statistics.fmean(getattr(run, name) for run in mine) for name in SHOWN)
        print(f"{dead:>5.0%} {dynamic!s:>8}" + "".join(f"{mean:>10.2f}" for mean in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="of training (default: %(default)s)")
    parser.add_argument("--prompts", type=int, default=8, help="per step, of 8 rollouts each (default: %(default)s)")
    parser.add_argument("--method", default="gd2po", help="advantage estimator (default: %(default)s)")
    parser.add_argument("--dead", type=float, nargs="+", default=[0.0, 0.6], help="shares of prompts (default: 0 0.6)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="(default: 0)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the runs to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = [
        train(options, dead, dynamic, seed)
        for dead in options.dead
        for dynamic in (False, True)
        for seed in options.seeds
    ]
    print(f"{options.method}: {options.steps} steps of {options.prompts} prompts, seeds {options.seeds}")
    print_runs(runs)
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
