"""GD²PO: GDPO without the rollouts whose rewards conflict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from torch import Tensor

from gd2po.core.batch import Families, RewardBatch, Weights, Whitening
from gd2po.core.conflicts import agreement_snr, conflict_mask, largest_retaining_threshold, paired_conflict_mask
from gd2po.core.families import (
    Standardisation,
    correlated_pairs,
    family_agreement_snr,
    family_conflict_mask,
    family_pairs,
    has_partners,
    partly_ranked,
)
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.methods.warnings import ranks_of_two
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import SNR_EPS
from gd2po.errors import InvalidInputError

Filtering = Literal["none", "hard", "snr"]
ConflictPairs = Literal["all", "correlated", "families"]
QueryWeightIn = Literal["advantage", "loss"]


def gd2po_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    filtering: Filtering = "snr",
    snr_threshold: Annotated[float, Range(0, 1)] | Literal["auto"] = 0.3,
    snr_eps: Annotated[float, Range(0, 1)] = SNR_EPS,
    min_retained: Annotated[float, Range(0, 1)] = 0.8,
    conflict_pairs: ConflictPairs = "all",
    min_correlation: Annotated[float, Range(-1, 1)] = 0.0,
    standardisation: Standardisation = "zscore",
    query_reweighting: bool = True,
    query_weight_in: QueryWeightIn = "advantage",
    reward_weights: Weights = None,
    reward_families: Families = None,
    correlations: Tensor | None = None,
    scale_rewards: bool = True,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GD²PO advantages: GDPO's, with conflicting rollouts dropped and each prompt scaled by the share that was kept.

    With `y_k = weight_k z_k`, z_k the reward standardised inside its group: a rollout conflicts when some y_k is
    positive and some negative, and its agreement score is `snr = |sum_k y_k| / (sum_k |y_k| + snr_eps)`. What is kept
    gets `s = keep_ratio * sum_k y_k` and is whitened, what is dropped gets 0. Whitening moves the mean, so a rollout
    whose rewards all lie at the means of its group is not left at 0.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        filtering: "hard" drops every conflict, "snr" those whose score is below the threshold, "none" nothing.
        snr_threshold: in [0, 1]; 0 is "none", 1 is "hard". "auto" takes the largest on the grid 0, 0.02, ..., 1 at
            which every reward keeps `min_retained` of its signal. The paper's scripts take 0.8; docs/results.md says
            why the default is lower.
        snr_eps: keeps the score finite; in [0, 1].
        min_retained: for "auto", in [0, 1]: the share of sum |y_k|, and of its negative side, that each reward keeps.
        conflict_pairs: "all"; "families": only rewards of one family can conflict, and a family's score is its own; or
            "correlated": only rewards that normally agree can conflict, that is pairs whose in-group correlation over
            the batch is above `min_correlation`.
        min_correlation: for conflict_pairs="correlated", in [-1, 1].
        standardisation: "zscore"; "rank": of the mid-rank of each score inside its group, which bounds what one fooled
            reward can do; "rank_partners": ranks where the reward has others to conflict with, z-scores elsewhere.
        query_reweighting: scale each group by its `keep_ratio`.
        query_weight_in: where the `keep_ratio` goes: into the "advantage" before it is whitened, or onto the "loss"
            outside its clipping, as `loss_weight` of the result.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out, its vote on conflicts included.
        reward_families: (K,) labels for conflict_pairs="families", equal for rewards that measure the same thing. None:
            each reward is a family of its own, and nothing conflicts.
        correlations: (K, K) for conflict_pairs="correlated": those of `gd2po.core.agreement`, kept over batches. None:
            those of the z-scores of this batch.
        scale_rewards: divide by the standard deviation of the group.
        whitening: "rollouts" counts every kept rollout once, "tokens" as often as it has completion tokens, "none"
            skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, a threshold or share outside its range, an
            infinite reward or weight, or families without conflict_pairs="families" (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> result = gd2po_advantages(rewards, torch.tensor([7, 7, 7, 7]), whitening="none")
        >>> result.keep_mask
        tensor([False, False,  True,  True])
        >>> result.advantages
        tensor([ 0.0000,  0.0000,  0.8660, -0.8660])

    Source:
        GD²PO (arXiv:2606.16771). "auto", "correlated", "families" and ranks are gd2po's own.

    Deviations:
        The official code whitens by tokens; here that is `whitening="tokens"`. It clamps a threshold outside [0, 1];
        here that is an error. A reward at its group's mean up to rounding is exactly 0 and conflicts with nothing.
        With negative weights, "correlated" looks at the correlation of the weighted rewards: minus a length penalty
        and the penalty pull in opposite ways.
    """
    check_options(
        gd2po_advantages,
        filtering=filtering,
        snr_threshold=snr_threshold,
        snr_eps=snr_eps,
        min_retained=min_retained,
        conflict_pairs=conflict_pairs,
        min_correlation=min_correlation,
        standardisation=standardisation,
        query_reweighting=query_reweighting,
        query_weight_in=query_weight_in,
        scale_rewards=scale_rewards,
        whitening=whitening,
    )
    if reward_families is not None and conflict_pairs != "families":
        raise InvalidInputError(
            f"`reward_families` has no effect with conflict_pairs={conflict_pairs!r}: set it to 'families', or leave "
            "the families out."
        )
    batch = RewardBatch.from_input(
        rewards,
        group_ids,
        reward_weights,
        reward_families=reward_families,
        correlations=correlations,
        whitening=whitening,
        token_counts=token_counts,
    )
    zscores = batch.standardised(scale_rewards)
    families = (batch.families or range(batch.num_rewards)) if conflict_pairs == "families" else None
    if conflict_pairs == "correlated":
        pairs = correlated_pairs(batch, zscores, min_correlation)
    else:
        pairs = family_pairs(families or [0] * batch.num_rewards)
    reward_advantages = partly_ranked(batch, zscores, pairs, standardisation, scale_rewards)
    weighted = batch.weigh(reward_advantages)
    if families is not None:
        conflicts = family_conflict_mask(weighted, families)
        snr = family_agreement_snr(weighted, families, snr_eps)
    else:
        all_pairs = conflict_pairs == "all"
        conflicts = (
            conflict_mask(weighted, REWARD_DIM) if all_pairs else paired_conflict_mask(weighted, pairs, REWARD_DIM)
        )
        snr = agreement_snr(weighted, snr_eps, REWARD_DIM)

    given = {"none": 0.0, "hard": 1.0, "snr": snr_threshold}[filtering]
    searched = partial(largest_retaining_threshold, min_retained=min_retained, dim=REWARD_DIM)
    threshold = (
        batch.of_each_batch(searched, weighted, conflicts, snr).unsqueeze(-1) if given == "auto" else float(given)
    )
    # Where one reward outweighs another beyond the precision of floats, the score of a conflict rounds to 1.
    dropped = conflicts & ((snr < threshold) | (threshold == 1))
    keep = batch.present & ~dropped
    keep_ratio = batch.keep_ratio(keep)
    in_advantage = query_reweighting and query_weight_in == "advantage"
    factor = keep * keep_ratio if in_advantage else keep.to(keep_ratio.dtype)
    return batch.filtered_result(
        weighted.sum(REWARD_DIM) * factor,
        reward_advantages=reward_advantages,
        conflicts=conflicts,
        snr=snr,
        keep=keep,
        keep_ratio=keep_ratio,
        snr_threshold=math.nan if given == "auto" and batch.groups.stacked else float(threshold),
        components=weighted,
        factor=factor,
        loss_weight=keep_ratio if query_reweighting and query_weight_in == "loss" else None,
    )


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    sentences = ranks_of_two(batch) if options["standardisation"] != "zscore" else []
    if options["conflict_pairs"] != "families":
        if batch.families is not None:
            sentences.append(
                "gd2po: the families in `reward_families` are not used with "
                f"conflict_pairs={options['conflict_pairs']!r}: set it to 'families' to filter inside them."
            )
    elif not has_partners(batch.families or range(batch.num_rewards)):
        sentences.append(
            "gd2po: every reward is a family of its own, so nothing conflicts and nothing is filtered: say in "
            "`reward_families` which rewards measure the same thing."
        )
    return sentences


def _uses_families(options: Mapping[str, Any]) -> bool:
    return bool(options["conflict_pairs"] == "families")


def _finds_families(options: Mapping[str, Any]) -> bool:
    return bool(options["conflict_pairs"] == "correlated")


GD2PO = Method(
    name="gd2po",
    title="gdpo without the rollouts whose rewards conflict, each prompt scaled by the share that was kept",
    source="GD²PO, arXiv:2606.16771",
    function=gd2po_advantages,
    warn=_warnings,
    stackable=True,
    uses_families=_uses_families,
    finds_families=_finds_families,
    variants={
        "hard": {"filtering": "hard"},
        "snr": {"filtering": "snr", "snr_threshold": ...},
        "auto": {"filtering": "snr", "snr_threshold": "auto"},
        "gated": {"filtering": "hard", "conflict_pairs": "correlated"},
        "families": {"filtering": "hard", "conflict_pairs": "families"},
    },
)
