"""Speed of a replay: eight methods, four learning rates, on a log of 100,000 rollouts with four rewards and a gold.

    python benchmarks/replay.py [--rollouts 100000] [--json FILE]

Processor seconds of one core, from opening the log to the page.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _timing import Measurement, report

from gd2po.logs.reward_log import RewardLog
from gd2po.replay import replay, write_html
from gd2po.replay.defaults import METHODS

GROUP_SIZE, REWARDS, STEP = 8, 4, 4096
SECONDS = 60.0


def make_log(rollouts: int, path: Path) -> None:
    """Four graders of one quality, each fooled by 8 % of the rollouts, and the quality itself as gold."""
    random = np.random.default_rng(0)
    rows = np.arange(rollouts - rollouts % GROUP_SIZE)
    quality = random.random(len(rows))
    columns = {"step": rows // STEP, "group": rows % STEP // GROUP_SIZE, "gold": quality}
    for reward in range(REWARDS):
        fooled = 3 * (random.random(len(rows)) < 0.08)
        columns[f"reward/{reward}"] = quality + 0.15 * random.normal(size=len(rows)) + fooled
    prompts = [f"prompt {row // GROUP_SIZE}" for row in rows]
    pq.write_table(pa.table({**columns, "prompt": prompts, "completion": ["" for _ in rows]}), path)


def main() -> None:
    """Replay once, and print the time of its parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_log(options.rollouts, Path(folder, "log.parquet"))
        times = {"start": time.process_time()}

        def tell(text: str) -> None:
            if not text.startswith("Read"):
                times.setdefault("read", time.process_time())

        result = replay(RewardLog(Path(folder, "log.parquet")), "gold", progress=tell)
        times["learned"] = time.process_time()
        write_html(result, Path(folder, "replay.html"))
        times["written"] = time.process_time()
    total = times["written"] - times["start"]
    title = f"{options.rollouts:,} rollouts x {REWARDS} rewards x {len(METHODS)} methods, processor time"
    measurements = [
        Measurement("reading", 1e3 * (times["read"] - times["start"])),
        Measurement("learning and intervals", 1e3 * (times["learned"] - times["read"])),
        Measurement("page", 1e3 * (times["written"] - times["learned"])),
        Measurement("all", 1e3 * total, target=f"{SECONDS:.0f} s", reached=total <= SECONDS),
    ]
    report(title, measurements, options.json)


if __name__ == "__main__":
    main()
