"""Speed of the advantage functions on one core, against a plain loop over groups and against each other.

    python benchmarks/advantages.py [--repeats 30] [--json FILE]

Every compared pair is first checked to compute the same thing.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch
from _timing import Measurement, median_milliseconds, report
from torch import Tensor

from gd2po import METHODS, consensus_advantages, diagnose_batch, gd2po_advantages
from gd2po.core.metrics import batch_metrics
from gd2po.diagnosis.verdict.advice import Advisor

THRESHOLD = 0.8


def looped_gd2po_advantages(rewards: Tensor, group_ids: Tensor) -> Tensor:
    """GD²PO as one writes it first: rows collected per group id, then every reward of every group by itself."""
    rewards = rewards.double()
    rows_of_group: dict[int, list[int]] = {}
    for row, group_id in enumerate(group_ids.tolist()):
        rows_of_group.setdefault(group_id, []).append(row)

    standardised = torch.zeros_like(rewards)
    for rows in rows_of_group.values():
        for reward in range(rewards.shape[1]):
            scores = rewards[rows, reward]
            if len(rows) > 1:
                standardised[rows, reward] = (scores - scores.mean()) / (scores.std() + 1e-6)

    conflicts = (standardised > 1e-8).any(1) & (standardised < -1e-8).any(1)
    snr = standardised.sum(1).abs() / (standardised.abs().sum(1) + 1e-8)
    keep = ~(conflicts & (snr < THRESHOLD))
    combined = standardised.sum(1) * keep
    for rows in rows_of_group.values():
        combined[rows] *= keep[rows].double().mean()

    kept = combined[keep]
    combined[keep] = (kept - kept.mean()) * torch.rsqrt(kept.var() + 1e-8)
    return combined


def make_rewards(num_rollouts: int, num_rewards: int) -> Tensor:
    """Scores as they come in training: one continuous, one binary, one in hundredths, and so on in turn."""
    scores = torch.rand(num_rollouts, num_rewards)
    scores[:, 0::3] = 6 * scores[:, 0::3] - 3
    scores[:, 1::3] = (scores[:, 1::3] > 0.3).float()
    scores[:, 2::3] = (100 * scores[:, 2::3]).round() / 100
    return scores


def shuffled_unequal_ids(num_groups: int, num_rollouts: int) -> Tensor:
    """Every group has two rollouts at least; the others fall into groups by chance."""
    pairs = torch.arange(num_groups).repeat(2)
    ids = torch.cat([pairs, torch.randint(num_groups, (num_rollouts - len(pairs),))])
    return ids[torch.randperm(num_rollouts)]


def measure_against_loop(name: str, group_ids: Tensor, target: float, repeats: int) -> list[Measurement]:
    rewards = make_rewards(len(group_ids), 3)
    expected = looped_gd2po_advantages(rewards, group_ids)
    actual = gd2po_advantages(rewards.double(), group_ids, snr_threshold=THRESHOLD).advantages
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)

    # The loop takes hundreds of times as long, so few rounds of it must do; the method runs many times in each.
    loops, methods = [], []
    for _ in range(max(3, repeats // 10)):
        loops.append(median_milliseconds({"": lambda: looped_gd2po_advantages(rewards, group_ids)}, 1)[""])
        method = median_milliseconds({"": lambda: gd2po_advantages(rewards, group_ids)}, repeats)[""]
        methods.append(method)
    loop, method = sorted(loops)[len(loops) // 2], sorted(methods)[len(methods) // 2]
    ratio = loop / method
    return [
        Measurement(f"loop over groups, {name}", loop),
        Measurement(f"gd2po_advantages, {name}: speed-up", method, ratio, f">= {target:g}x", ratio >= target),
    ]


def measure_variants(num_groups: int, group_size: int, num_rewards: int, repeats: int) -> list[Measurement]:
    rewards = make_rewards(num_groups * group_size, num_rewards)
    group_ids = torch.arange(num_groups).repeat_interleave(group_size)
    plain = gd2po_advantages(rewards, group_ids)
    everything_retained = gd2po_advantages(rewards, group_ids, snr_threshold="auto", min_retained=0.0)
    torch.testing.assert_close(
        everything_retained.advantages, gd2po_advantages(rewards, group_ids, filtering="hard").advantages
    )
    every_pair = gd2po_advantages(rewards, group_ids, conflict_pairs="correlated", min_correlation=-1.0)
    torch.testing.assert_close(every_pair.advantages, plain.advantages)

    labels = ["judge", "judge", *range(num_rewards - 2)]
    families = {"conflict_pairs": "families", "reward_families": labels}
    times = median_milliseconds(
        {
            "plain": lambda: gd2po_advantages(rewards, group_ids),
            'snr_threshold="auto"': lambda: gd2po_advantages(rewards, group_ids, snr_threshold="auto"),
            'conflict_pairs="correlated"': lambda: gd2po_advantages(rewards, group_ids, conflict_pairs="correlated"),
            'conflict_pairs="families"': partial(gd2po_advantages, rewards, group_ids, **families),
            "families, ranks": partial(
                gd2po_advantages, rewards, group_ids, standardisation="rank_partners", **families
            ),
            "consensus, families given": partial(
                consensus_advantages, rewards, group_ids, reward_families=families["reward_families"]
            ),
        },
        repeats,
    )
    shape = f"{num_groups} x {group_size} x {num_rewards}"
    rows = []
    for name, milliseconds in times.items():
        if name == "plain":
            rows.append(Measurement(f"gd2po_advantages, {shape}", milliseconds))
        else:
            ratio = milliseconds / times["plain"]
            rows.append(Measurement(f"{name}, {shape}: against plain", milliseconds, ratio, "<= 2x", ratio <= 2))
    return rows


NEEDS = {"reward_minima": [-3.0, 0.0, 0.0], "reward_bounds": [[-3.0, 3.0], [0.0, 1.0], [0.0, 1.0]]}
"""What some methods have to know of `make_rewards`, three of them."""


def measure_methods(name: str, group_ids: Tensor, repeats: int) -> list[Measurement]:
    """Every method and variant of the table against gd2po."""
    rewards = make_rewards(len(group_ids), 3)
    calls = {
        label: partial(method.function, rewards, group_ids, **options, **{need: NEEDS[need] for need in method.needs})
        for method in METHODS.values()
        for label, options in method.labels.items()
    }
    times = median_milliseconds(calls, repeats)
    rows = []
    for label, milliseconds in times.items():
        ratio = milliseconds / times["gd2po"]
        rows.append(Measurement(f"{label}, {name}: against gd2po", milliseconds, ratio, "<= 2x", ratio <= 2))
    return rows


def measure_large(repeats: int) -> list[Measurement]:
    rewards = make_rewards(65_536, 8)
    batches = {
        "equal blocks": torch.arange(8_192).repeat_interleave(8),
        "shuffled, unequal": shuffled_unequal_ids(8_192, 65_536),
    }
    times = median_milliseconds(
        {name: lambda ids=ids: gd2po_advantages(rewards, ids) for name, ids in batches.items()}, repeats
    )
    return [
        Measurement(f"gd2po_advantages, 65,536 rollouts x 8 rewards, {name}", time, None, "< 25 ms", time < 25)
        for name, time in times.items()
    ]


def measure_diagnostics(repeats: int) -> list[Measurement]:
    rewards = make_rewards(512 * 16, 3)
    group_ids = torch.arange(512).repeat_interleave(16)

    names = ["correctness", "format", "length"]
    advisor = Advisor(names, filters="snr", whitens_tokens=False)

    def step() -> None:
        diagnostics = diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids))
        advisor.observe(batch_metrics(diagnostics, names), length_variation=0.5)

    time = median_milliseconds({"": step}, repeats)[""]
    return [Measurement("advantages, diagnostics, metrics and advice, 512 x 16 x 3", time, None, "< 5 ms", time < 5)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="rounds whose median is taken")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    measurements = [
        *measure_against_loop(
            "2,048 x 8 x 3, equal blocks", torch.arange(2_048).repeat_interleave(8), 150, arguments.repeats
        ),
        *measure_against_loop(
            "2,048 x 8 x 3, shuffled, unequal", shuffled_unequal_ids(2_048, 16_384), 80, arguments.repeats
        ),
        *measure_large(arguments.repeats),
        *measure_variants(2_048, 8, 3, arguments.repeats),
        *measure_variants(8_192, 8, 8, arguments.repeats),
        *measure_methods("2,048 x 8 x 3, equal blocks", torch.arange(2_048).repeat_interleave(8), arguments.repeats),
        *measure_methods("2,048 x 8 x 3, shuffled, unequal", shuffled_unequal_ids(2_048, 16_384), arguments.repeats),
        *measure_diagnostics(arguments.repeats),
    ]
    title = f"gd2po on one core, float32 rewards, medians of {arguments.repeats} rounds"
    report(title, measurements, arguments.json)


if __name__ == "__main__":
    main()
