"""Consensus: rewards of one family are brought to one voice, whose conflicts drop the rollout; families are summed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal

from torch import Tensor

from gd2po.core.batch import Families, RewardBatch, Weights, Whitening
from gd2po.core.conflicts import agreement_snr
from gd2po.core.families import (
    Combination,
    Standardisation,
    combined,
    correlated_pairs,
    family_conflict_mask,
    family_members,
    family_pairs,
    has_partners,
    joined_families,
    partly_ranked,
)
from gd2po.core.groups import REWARD_DIM, lanes_of, put_lanes
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.methods.warnings import ranks_of_two
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import SIGN_TOLERANCE, SNR_EPS
from gd2po.errors import InvalidInputError

Partners = Literal["declared", "correlated"]
DropConflicts = Literal["praised", "all", "none"]


def consensus_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    partners: Partners = "declared",
    min_correlation: Annotated[float, Range(-1, 1)] = 0.1,
    standardisation: Standardisation = "rank_partners",
    combination: Combination = "soft_minimum",
    kappa: Annotated[float, Range(0, float("inf"))] = 1.0,
    drop_conflicts: DropConflicts = "praised",
    reward_weights: Weights = None,
    reward_families: Families = None,
    correlations: Tensor | None = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """Consensus advantages: the rewards of a family as one cautious voice, and the families summed as in GDPO.

    1. **Families**: those of `reward_families`; with partners="correlated", rewards that a chain of in-group
       correlations above `min_correlation` joins, over the batch.
    2. **Standardise** inside the group: x_k is the z-score of the mid-ranks where the reward has a partner, the plain
       z-score where not, turned round where the weight is negative.
    3. **Combine**: m_f, the soft minimum `-1/kappa log sum_k p_k exp(-kappa x_k)` over the rewards of the family that
       apply, with `p_k = |weight_k|` over their sum; minus its mean over the group. m is x in a family of one.
    4. **Sum** over all rewards: `s = sum_k |weight_k| m_f(k)`.
    5. **Drop** rollouts with s > 0 on which rewards of one family have opposite signs: they are praised, and somebody
       errs. Those that are blamed stay, so that what fooled a reward is unlearned. Whiten over what is kept.

    Without partners anywhere, so also without `reward_families`, this is `gdpo`. A lone rollout, and a group of dead
    rewards, have s = 0.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        partners: of a reward: the others of its family in `reward_families` ("declared"), or those that it is
            "correlated" with.
        min_correlation: in [-1, 1], for correlated rewards.
        standardisation: "rank_partners" ranks rewards with a partner, "rank" all, "zscore" none.
        combination: of the rewards of a family: "soft_minimum"; "minimum", the worst case; "mean", which leaves them as
            they are; or "uncertainty", `mean - kappa/2 variance`.
        kappa: at least 0, how cautious the soft minimum and "uncertainty" are.
        drop_conflicts: "praised" as in step 5; "all" drops them whatever their s; "none" keeps them.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        reward_families: (K,) labels, equal for rewards that measure the same thing.
        correlations: (K, K) to find families by: those of `gd2po.core.agreement`, kept over batches. None: those of the
            z-scores of this batch.
        whitening: "rollouts" counts every kept rollout once, "tokens" as often as it has completion tokens, "none"
            skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`. `components` are the summands of s, and conflicts those inside families. Reward advantages
        and agreement scores are those of `gdpo`: z-scores, over all rewards.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, an option out of its range, or an infinite reward
            or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[0.2, 0.1], [0.4, 0.5], [0.6, 0.7], [9.0, 0.0]])  # the last one fools a judge
        >>> families = ["judge", "judge"]
        >>> consensus_advantages(rewards, torch.zeros(4).long(), reward_families=families, whitening="none").advantages
        tensor([-1.3047,  0.0000,  1.7937, -0.7334])

    Source:
        gd2po's own, from the soft minimum of RVPO (arXiv:2605.05750), the filter of GD²PO (arXiv:2606.16771), and the
        cautious ensembles of Reward Model Ensembles Help Mitigate Overoptimization (arXiv:2310.02743).

    Deviations:
        RVPO takes its minimum over all rewards; here it is taken inside families, over ranks, and recentred in the
        group, so that goals that trade off are summed. `keep_ratio` weighs nothing, unlike in GD²PO.
    """
    check_options(
        consensus_advantages,
        partners=partners,
        min_correlation=min_correlation,
        standardisation=standardisation,
        combination=combination,
        kappa=kappa,
        drop_conflicts=drop_conflicts,
        whitening=whitening,
    )
    if reward_families is not None and partners == "correlated":
        raise InvalidInputError(
            "`reward_families` has no effect with partners='correlated', which looks for families itself: set that "
            "to 'declared', or leave the families out."
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
    zscores = batch.standardised()
    families: Sequence[Hashable] = batch.families or range(batch.num_rewards)
    if partners == "correlated":
        families = joined_families(correlated_pairs(batch, zscores, min_correlation))
    standardised = partly_ranked(batch, zscores, family_pairs(families), standardisation)
    conflicts = family_conflict_mask(batch.weigh(standardised), families)
    components = _components(batch, standardised, families, combination, kappa)
    total = components.sum(REWARD_DIM)
    keep = batch.present
    if drop_conflicts != "none":
        keep = keep & ~(conflicts if drop_conflicts == "all" else conflicts & (total > SIGN_TOLERANCE))
    return batch.filtered_result(
        total * keep,
        reward_advantages=zscores,
        conflicts=conflicts,
        snr=agreement_snr(batch.weigh(zscores), SNR_EPS, REWARD_DIM),
        keep=keep,
        keep_ratio=batch.keep_ratio(keep),
        snr_threshold=float(drop_conflicts != "none"),
        components=components,
        factor=keep.to(batch.dtype),
    )


def _components(
    batch: RewardBatch, standardised: Tensor, families: Sequence[Hashable], combination: Combination, kappa: float
) -> Tensor:
    """Lanes: what each reward adds, its own advantage or the voice of its family."""
    components = batch.weigh(standardised)
    if combination == "mean" or not has_partners(families):
        return components
    values, sizes = batch.sign(standardised), batch.weight_sizes
    if components is standardised:
        components = components.clone()
    for members in family_members(families):
        if len(members) > 1:
            own = lanes_of(sizes, members)
            voice = combined(lanes_of(values, members), own, combination, kappa).unsqueeze(REWARD_DIM)
            speaks = (own.sum(REWARD_DIM, keepdim=True) > 0).to(voice.dtype)
            count = batch.group_size.unsqueeze(REWARD_DIM)
            if batch.applies is not None:  # the family may have nothing to say of a rollout
                count = batch.groups.total(speaks.expand_as(voice).contiguous())
            voice = voice - batch.groups.spread(batch.groups.total(voice) / count.clamp_min(1))
            put_lanes(components, members, own * speaks * voice)
    return components


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    sentences = ranks_of_two(batch) if options["standardisation"] != "zscore" else []
    if options["partners"] == "correlated":
        if batch.families is not None:
            sentences.append(
                "consensus: the families in `reward_families` are not used with partners='correlated': set it to "
                "'declared'."
            )
    elif batch.num_rewards > 1 and (batch.families is None or not has_partners(batch.families)):
        sentences.append(
            "consensus: every reward is a family of its own, so nothing is combined and nothing is filtered, as in "
            "gdpo: say in `reward_families` which rewards measure the same thing."
        )
    return sentences


def _uses_families(options: Mapping[str, Any]) -> bool:
    return not _finds_families(options)


def _finds_families(options: Mapping[str, Any]) -> bool:
    return bool(options["partners"] == "correlated")


CONSENSUS = Method(
    name="consensus",
    title="the rewards of a family as one cautious voice, without praise where they conflict; the families summed",
    source="gd2po's own, with the soft minimum of RVPO, arXiv:2605.05750",
    function=consensus_advantages,
    warn=_warnings,
    stackable=True,
    uses_families=_uses_families,
    finds_families=_finds_families,
    variants={"correlated": {"partners": "correlated"}},
)
