"""Random batches for Hypothesis."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

# Scores as reward functions give them, well away from the limits of any dtype.
SCORES = {
    "binary": st.integers(0, 1).map(float),
    "integers": st.integers(-3, 3).map(float),
    "tenths": st.integers(-30, 30).map(lambda tenths: tenths / 10),
    "thousandths": st.integers(-20_000, 20_000).map(lambda thousandths: thousandths / 1000),
}

# In steps that no share or score of a small batch falls on, except the ends.
SHARES = st.integers(0, 997).map(lambda step: step / 997)

WEIGHTS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0, 3.0, -0.7])


@dataclass
class Batch:
    """What an advantage function takes."""

    rewards: Tensor
    group_ids: Tensor
    token_counts: Tensor
    weights: list[float] | None
    families: list[int] | None = None

    def rows(self) -> list[list[float]]:
        return self.rewards.double().tolist()


@st.composite
def group_id_lists(draw: st.DrawFn, max_rollouts: int) -> list[int]:
    """Ids of any size and sign; groups ragged and shuffled, or consecutive blocks of one size."""
    labels = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 12), min_size=1, max_size=5, unique=True))
    if draw(st.booleans()):
        block_size = draw(st.integers(1, max(1, max_rollouts // len(labels))))
        return [label for label in labels for _ in range(block_size)]
    return draw(st.lists(st.sampled_from(labels), min_size=1, max_size=max_rollouts))


def with_rollouts_that_do_not_apply(batch: Batch) -> Batch:
    """The batch and as many rollouts behind it to which no reward applies."""
    return replace(
        batch,
        rewards=torch.cat([batch.rewards, torch.full_like(batch.rewards, torch.nan)]),
        group_ids=batch.group_ids.repeat(2),
        token_counts=batch.token_counts.repeat(2),
    )


@st.composite
def batches(
    draw: st.DrawFn,
    *,
    max_rollouts: int = 14,
    min_rewards: int = 1,
    max_rewards: int = 4,
    scores: tuple[str, ...] = tuple(SCORES),
    dtypes: tuple[torch.dtype, ...] = (torch.float64,),
    missing: bool = True,
    weighted: bool = True,
) -> Batch:
    """A batch; with `missing` some have rewards that do not apply, with `weighted` some have weights."""
    group_ids = draw(group_id_lists(max_rollouts))
    num_rewards = draw(st.integers(min_rewards, max_rewards))
    columns = []
    for _ in range(num_rewards):
        score = SCORES[draw(st.sampled_from(scores))]
        if missing and draw(st.booleans()):
            score = score | st.just(float("nan"))
        columns.append(draw(st.lists(score, min_size=len(group_ids), max_size=len(group_ids))))
    weights = None
    if weighted and draw(st.booleans()):
        weights = draw(st.lists(WEIGHTS, min_size=num_rewards, max_size=num_rewards))
    return Batch(
        rewards=torch.tensor(columns, dtype=torch.float64).T.to(draw(st.sampled_from(dtypes))),
        group_ids=torch.tensor(group_ids),
        token_counts=torch.tensor(draw(st.lists(st.integers(0, 40), min_size=len(group_ids), max_size=len(group_ids)))),
        weights=weights,
        families=draw(st.none() | st.lists(st.integers(0, 2), min_size=num_rewards, max_size=num_rewards)),
    )


def random_batch(seed: int) -> Batch:
    """A batch of up to 60 rollouts without any leaning to simple numbers: most of it conflicts."""
    generator = random.Random(seed)
    num_rollouts, num_rewards = generator.randint(2, 60), generator.randint(2, 5)
    num_groups = generator.randint(1, max(1, num_rollouts // 3))
    missing_rate = generator.choice([0.0, 0.0, 0.3])
    score = generator.choice(
        [
            lambda: float(generator.randint(0, 1)),
            lambda: float(generator.randint(-3, 3)),
            lambda: generator.randint(0, 10) / 10,
            lambda: generator.gauss(0, 1),
            lambda: generator.gauss(1000, 10),
        ]
    )
    rows = [
        [float("nan") if generator.random() < missing_rate else score() for _ in range(num_rewards)]
        for _ in range(num_rollouts)
    ]
    return Batch(
        rewards=torch.tensor(rows, dtype=torch.float64).to(generator.choice(DTYPES)),
        group_ids=torch.tensor([generator.randint(0, num_groups) * 7 - 5 for _ in range(num_rollouts)]),
        token_counts=torch.tensor([generator.randint(0, 200) for _ in range(num_rollouts)]),
        weights=generator.choice([None, [generator.choice([0.0, 0.1, 1.0, 2.5, -1.0]) for _ in range(num_rewards)]]),
        families=[generator.randint(0, 1) for _ in range(num_rewards)],
    )


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Keyword arguments of `gd2po_advantages`, weights, families and token counts apart."""
    return {
        "filtering": draw(st.sampled_from(["snr", "snr", "hard", "none"])),
        "snr_threshold": draw(SHARES | st.just("auto")),
        "snr_eps": draw(st.sampled_from([1e-8, 1e-6, 0.0, 1e-2])),
        "min_retained": draw(SHARES),
        "conflict_pairs": draw(st.sampled_from(["all", "correlated", "families"])),
        "min_correlation": draw(st.just(0.0) | SHARES | SHARES.map(lambda share: -share)),
        "standardisation": draw(st.sampled_from(["zscore", "zscore", "rank", "rank_partners"])),
        "query_reweighting": draw(st.booleans()),
        "query_weight_in": draw(st.sampled_from(["advantage", "loss"])),
        "scale_rewards": draw(st.booleans()),
        "whitening": draw(st.sampled_from(["rollouts", "tokens", "none"])),
    }


@st.composite
def method_options(draw: st.DrawFn, name: str, batch: Batch) -> dict[str, Any]:
    """Options of a method that suit the batch, its whitening among them."""
    drawn: dict[str, Any] = {"whitening": draw(st.sampled_from(["rollouts", "tokens", "none"]))}
    columns = [[score for score in column if score == score] or [0.0] for column in batch.rewards.double().T.tolist()]
    slack = st.sampled_from([0.0, 0.5, 3.0])
    if name == "gd2po":
        return draw(options())
    if name in ("grpo", "gdpo"):
        drawn["scale_rewards"] = draw(st.booleans())
    if name in ("corr_grpo", "gdpo_corr"):
        drawn["min_correlation_sum"] = draw(st.sampled_from([0.01, 0.2, 1.0]))
    if name == "dara":
        drawn["variant"] = draw(st.sampled_from(["asymmetric", "symmetric"]))
        drawn["max_multiplier"] = draw(st.sampled_from([1.0, 1.3, 5.0, 100.0]))
    if name == "saw":
        drawn["mode"] = draw(st.sampled_from(["gdpo", "grpo"]))
        drawn["reward_minima"] = [min(column) - draw(slack) for column in columns]
    if name == "sa_mrpo":
        drawn["gamma"] = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]))
        drawn["reward_bounds"] = [[min(column) - draw(slack), max(column) + 0.25 + draw(slack)] for column in columns]
    if name == "consensus":
        drawn["partners"] = draw(st.sampled_from(["declared", "declared", "correlated"]))
        drawn["min_correlation"] = draw(st.just(0.1) | SHARES | SHARES.map(lambda share: -share))
        drawn["standardisation"] = draw(st.sampled_from(["zscore", "rank", "rank_partners"]))
        drawn["combination"] = draw(st.sampled_from(["mean", "soft_minimum", "minimum", "uncertainty"]))
        drawn["drop_conflicts"] = draw(st.sampled_from(["praised", "all", "none"]))
    if name in ("rvpo", "consensus"):
        drawn["kappa"] = draw(st.sampled_from([0.0, 0.01, 0.5, 1.0, 2.0, 20.0]))
    return drawn


def batch_for(name: str, batch: Batch) -> Batch:
    """The batch with weights that the method takes: saw takes no negative ones."""
    if name == "saw" and batch.weights is not None:
        return replace(batch, weights=[abs(weight) for weight in batch.weights])
    return batch


@st.composite
def method_cases(draw: st.DrawFn, names: list[str], **limits: Any) -> tuple[str, Batch, dict[str, Any]]:
    """A method, a batch and options of the method that suit the batch; `limits` as of `batches`."""
    name = draw(st.sampled_from(names))
    batch = batch_for(name, draw(batches(**limits)))
    return name, batch, draw(method_options(name, batch))
