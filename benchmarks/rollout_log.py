"""What a step costs to log, and what rolling the log up adds to it.

    python benchmarks/rollout_log.py [--steps 1001] [--rollouts 64] [--words 20]

Writes a log twice, once with a file per step and once rolled up, and times every write. Most of the writes of the
second are as long as those of the first; the one that begins a block rolls the block before up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import torch

from gd2po import gdpo_advantages
from gd2po.logs import roll_up
from gd2po.logs.rollout_log import RolloutLog

NAMES = ["correct", "brief", "polite", "safe"]
GROUP_SIZE = 8


def milliseconds(steps: int, rollouts: int, words: int) -> list[float]:
    """How long each step took to log."""
    group_ids = torch.arange(rollouts) // GROUP_SIZE
    random = torch.Generator().manual_seed(0)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        log = RolloutLog(folder, {"method": "gdpo"})
        for step in range(1, steps + 1):
            rewards = torch.randn(rollouts, len(NAMES), generator=random)
            result = gdpo_advantages(rewards, group_ids)
            prompts = [f"Prompt {step} {row // GROUP_SIZE}: " + "tell me more " * 10 for row in range(rollouts)]
            numbers = torch.randint(10**6, (rollouts, words), generator=random).tolist()
            completions = [" ".join(f"word{number}" for number in row) for row in numbers]
            start = time.perf_counter()
            log.write(
                step,
                reward_names=NAMES,
                group_ids=group_ids,
                prompts=prompts,
                completions=completions,
                rewards=rewards,
                result=result,
                token_counts=torch.full((rollouts,), words),
            )
            taken.append(1000 * (time.perf_counter() - start))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1001)
    parser.add_argument("--rollouts", type=int, default=64, help="per step (default: %(default)s)")
    parser.add_argument("--words", type=int, default=20, help="per completion (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"{arguments.steps:,} steps of {arguments.rollouts:,} rollouts of {arguments.words:,} words")
    print(f"{'':>16}  {'median':>8}  {'mean':>8}  {'longest':>9}")
    for name, steps_per_file in (("a file per step", arguments.steps), ("rolled up", roll_up.STEPS_PER_FILE)):
        roll_up.STEPS_PER_FILE = steps_per_file  # type: ignore[misc]
        taken = milliseconds(arguments.steps, arguments.rollouts, arguments.words)
        print(
            f"{name:>16}  {statistics.median(taken):>5.1f} ms  {statistics.mean(taken):>5.1f} ms  {max(taken):>6.0f} ms"
        )


if __name__ == "__main__":
    main()
