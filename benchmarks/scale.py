"""What the advantages cost from ten thousand rollouts on: seconds and memory of one call, each in a process of its own.

    python benchmarks/scale.py [--rollouts 10000 100000 1000000 10000000] [--methods gdpo,gd2po,consensus]

Groups of 8 rollouts, 3 rewards in float32, the first two of one family; one thread. *Memory* is how far the process
grew beyond the rewards themselves, at its peak. A run computes the advantages of one batch at a time, so the smallest
line is what most runs pay per step.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from gd2po.core import Setting

GROUP_SIZE, FAMILIES = 8, ("quality", "quality", "brevity")
REPEATS = 3


def measure(rollouts: int, method: str) -> tuple[float, float]:
    """(seconds, bytes per rollout) of the fastest of some calls."""
    torch.set_num_threads(1)
    setting = Setting.named(method, "--methods")
    generator = torch.Generator().manual_seed(0)
    small, ids = torch.randn(4096, 3, generator=generator), torch.arange(512).repeat_interleave(GROUP_SIZE)
    setting.advantages(small, ids, reward_families=FAMILIES)  # what is loaded once is not counted
    rewards = torch.randn(rollouts, 3, generator=generator)
    group_ids = torch.arange(rollouts // GROUP_SIZE).repeat_interleave(GROUP_SIZE)
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(REPEATS):
        start = time.process_time()
        setting.advantages(rewards, group_ids, reward_families=FAMILIES)
        seconds.append(time.process_time() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return min(seconds), grown * 1024 / rollouts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--methods", default="gdpo,gd2po,consensus", help="labels, separated by commas")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.rollouts[0], options.one)))
        return
    print("| rollouts | method | processor time | per million | memory per rollout |\n|---|---|---|---|---|")
    for rollouts in options.rollouts:
        for method in options.methods.split(","):
            command = [sys.executable, __file__, "--one", method, "--rollouts", str(rollouts)]
            seconds, grown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            per_million = 1e6 * seconds / rollouts
            memory = f"{grown:.0f} bytes" if rollouts >= 1_000_000 else ""  # below, the allocator's steps decide
            print(f"| {rollouts:,} | {method} | {1e3 * seconds:.1f} ms | {per_million:.2f} s | {memory} |", flush=True)


if __name__ == "__main__":
    main()
