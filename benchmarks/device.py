"""Advantages on a CUDA device: time, kernels, and how often the host waits for the device, for every method.

    python benchmarks/device.py
    python benchmarks/device.py --groups 2048 --json device.json

Rewards are uniform on [0, 1]. The time is the host's, from the call to the end of the last kernel; *waits* are the
places where the host waits for the device during the call. The smallest size is compared with the same call on the CPU.
Without CUDA it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from gd2po.core import METHODS, Setting, diagnose_batch

ROLLOUTS, REWARDS = 8, 3
NEEDS: dict[str, Any] = {"reward_minima": [0.0] * REWARDS, "reward_bounds": [[0.0, 1.0]] * REWARDS}
"""What some methods have to be told of the rewards."""


def settings() -> dict[str, Setting]:
    """Every method and variant, with the options it needs; whitening by tokens beside the default of the first ones."""
    found = {}
    for method in METHODS.values():
        given = {name: torch.tensor(NEEDS[name]) for name in method.needs}
        for label, options in method.labels.items():
            found[label] = Setting.of({"method": method.name, **options, **given}, "benchmark")
    found["gd2po whitening=tokens"] = Setting.of({"method": "gd2po", "whitening": "tokens"}, "benchmark")
    return found


def batch(groups: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Rewards (N, K), group ids (N,) and token counts (N,)."""
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(groups * ROLLOUTS, REWARDS, generator=generator)
    ids = torch.arange(groups).repeat_interleave(ROLLOUTS)
    tokens = torch.randint(20, 1000, (groups * ROLLOUTS,), generator=generator)
    return rewards.to(device), ids.to(device), tokens.to(device)


def host_waits(call: Callable[[], object]) -> list[str]:
    """Where the host waits for the device during a call: file and line of each time."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [f"{Path(item.filename).name}:{item.lineno}" for item in caught if "synchroniz" in str(item.message)]


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call, until the device is done."""
    times = []
    for repeat in range(repeats + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        if repeat > 1:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def kernels(call: Callable[[], object]) -> int:
    """Kernels and copies that a call puts on the device."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        call()
        torch.cuda.synchronize()
    return sum(event.count for event in profiled.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA)


def measured(label: str, setting: Setting, groups: int, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    rewards, ids, tokens = batch(groups, "cuda")

    def call() -> Tensor:
        return setting.advantages(rewards, ids, token_counts=tokens).advantages

    call()  # what is set up once is no part of a step
    return {
        "method": label, "groups": groups, "waits": host_waits(call), "ms": milliseconds(call, repeats),
        "kernels": kernels(call), "peak_mib": _peak_mib(call),
    }  # fmt: skip


def off_the_cpu(setting: Setting, groups: int) -> float:
    """Largest difference between advantages here and on the CPU."""
    here, there = (
        setting.advantages(rewards, ids, token_counts=tokens).advantages.cpu()
        for rewards, ids, tokens in (batch(groups, device) for device in ("cuda", "cpu"))
    )
    return float((here - there).abs().max())


def _peak_mib(call: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def diagnostics(groups: int) -> dict[str, Any]:
    """The same for the metrics that a trainer logs of a batch."""
    rewards, ids, tokens = batch(groups, "cuda")
    result = Setting.named("gd2po", "benchmark").advantages(rewards, ids, token_counts=tokens)

    def call() -> object:
        return diagnose_batch(rewards, ids, result)

    return {"method": "metrics of a batch", "groups": groups, "waits": host_waits(call), "ms": milliseconds(call, 10)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, nargs="*", default=[2048, 65536], help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=20, help="calls whose median is taken (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing is measured.")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {ROLLOUTS} rollouts x {REWARDS} rewards")
    rows = []
    for groups in options.groups:
        for label, setting in settings().items():
            row = measured(label, setting, groups, options.repeats)
            if groups == min(options.groups):
                row["off"] = off_the_cpu(setting, groups)
            rows.append(row)
            print(
                f"{groups:>6} {label:28} {row['ms']:7.2f} ms  {row['kernels']:>4} kernels  {row['peak_mib']:7.1f} MiB  "
                f"waits {len(row['waits'])} {' '.join(row['waits'])}  {row.get('off', 0):.1e} off the CPU"
            )
        rows.append(diagnostics(groups))
        print(
            f"{groups:>6} {'metrics of a batch':28} {rows[-1]['ms']:7.2f} ms  waits {len(rows[-1]['waits'])}",
            flush=True,
        )
        if options.json:
            device = torch.cuda.get_device_name()
            options.json.write_text(json.dumps({"device": device, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
