"""The rules of the verdict on families: inside one a conflict is somebody's error, and the question is of what kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from gd2po.core.tails import NORMAL_TAIL
from gd2po.diagnosis.model import FamilyNumbers, FarScores, Finding
from gd2po.diagnosis.numbers.families import FoundFamily, is_uneven
from gd2po.diagnosis.verdict.evidence import Numbers
from gd2po.diagnosis.verdict.limits import CONDEMNS, HEAVY_TAIL, LEAST_FAR, SURE_ENOUGH
from gd2po.report.wording import join, number, percent, sureness, with_interval

EVIDENCE = "docs/families.md"
"""The page with what each method gains in each world."""

ACTING_RULES = ("blind_spot", "heavy_tail")
"""Rules under which something can be gained inside a family."""


def resembled_world(family: FoundFamily, has_others: bool) -> str:
    """The simulated world whose errors a family's are most like.

    Args:
        family: its numbers.
        has_others: other rewards with a weight are of no family with it.
    """
    below = max(far.below for far in family.far)
    if any(map(_seems_fooled, family.far)):
        return "mixed3" if has_others else "blind-spot" if _one_sided(family.far) else "spiky1"
    if below >= LEAST_FAR:
        return "neg3"
    if (family.tail.value or 0) > HEAVY_TAIL:
        return "binary" if family.has_two_values else "t2"
    return "feature-both-fooled" if is_uneven(family.unevenness, family.uneven_sureness) else "gauss"


def _one_sided(far: Sequence[FarScores]) -> bool:
    return sum(map(_seems_fooled, far)) == 1


def _seems_fooled(far: FarScores) -> bool:
    return far.above >= LEAST_FAR and far.below <= CONDEMNS * far.above


def declaration(members: Sequence[str], label: str) -> str:
    """The line of a configuration that declares a family; JSON, which YAML reads too, so that any name is safe.

    Example:
        >>> declaration(["judge_a", "judge_b"], "family_1")
        'reward_families: {"judge_a": "family_1", "judge_b": "family_1"}'
    """
    return f"reward_families: {json.dumps(dict.fromkeys(members, label), ensure_ascii=False)}"


def family_finding(family: FamilyNumbers) -> Finding:
    """What is the case inside a family, and what to do about it."""
    fooled = list(filter(_seems_fooled, family.far))
    if family.origin == "suspected":
        return _suspected(family)
    if fooled:
        return _blind_spot(family, fooled)
    if (family.tail.value or 0) > HEAVY_TAIL:
        return _heavy_tail(family)
    if is_uneven(family.unevenness, family.uneven_sureness):
        return _uneven(family)
    return _light_tail(family)


def _numbers(family: FamilyNumbers) -> Numbers:
    numbers: Numbers = {"agreement": family.agreement.value, "tail": family.tail.value}
    numbers |= {"certainty": family.certainty, "unevenness": family.unevenness}
    for far in family.far:
        numbers |= {f"far_above/{far.reward}": far.above, f"far_below/{far.reward}": far.below}
    return numbers


def _who(family: FamilyNumbers) -> str:
    """The family as the beginning of a sentence."""
    names = join(family.rewards)
    if family.origin == "declared":
        return f"{names} are declared as one family"
    sure = "" if family.certainty is None else f", {sureness(family.certainty)}: {percent(family.certainty)}"
    agreement = with_interval(family.agreement, "signed")
    return f"{names} seem to measure the same thing (in-group rank correlation {agreement}{sure})"


def _tail(family: FamilyNumbers) -> str:
    return f"tail weight {number(family.tail.value)}, where normal errors have {NORMAL_TAIL:g}"


def _consensus(family: FamilyNumbers) -> str:
    """The recommendation to bound what one reward can do, with the line to paste."""
    condition = "" if family.origin == "declared" else "If they do measure the same thing: "
    return (
        f"{condition}advantage_estimator: consensus, or gd2po with conflict_pairs: families, and "
        f"{family.declaration}. Evidence: world {family.world} in {family.evidence}."
    )


def _effect(family: FamilyNumbers) -> str:
    """What methods make of the rollouts that seem to fool a reward."""
    by_name = {method.name: method for method in family.methods}
    plain, careful = by_name["gdpo"], by_name["consensus"]
    if plain.fooled_advantage is None or careful.fooled_advantage is None:
        return ""
    return (
        f" gdpo gives these rollouts a mean advantage of {plain.fooled_advantage:+.2f}, consensus "
        f"{careful.fooled_advantage:+.2f}, of which it keeps {percent(careful.fooled_kept)}."
    )


def _level_of(family: FamilyNumbers, sure: float | None) -> tuple[float | None, bool]:
    """How sure the family and what is said of it are together, and whether that is enough to act on."""
    known = [share for share in (family.certainty, sure) if share is not None]
    least = min(known, default=None)
    return least, least is not None and least >= SURE_ENOUGH


def _blind_spot(family: FamilyNumbers, fooled: Sequence[FarScores]) -> Finding:
    shares = join(
        [f"{far.reward} scores {percent(far.above)} of the rollouts far above its partners" for far in fooled]
    )
    text = f"{_who(family)}, but {shares} ({_tail(family)}).{_effect(family)}"
    sure, enough = _level_of(family, max((far.sureness for far in fooled if far.sureness is not None), default=None))
    title = f"{join([far.reward for far in fooled])} may have a blind spot"
    return Finding("blind_spot", "act" if enough else "watch", title, text, _consensus(family), sure, _numbers(family))


def _heavy_tail(family: FamilyNumbers) -> Finding:
    sure, enough = _level_of(family, family.heavy_sureness)
    condemns = [far for far in family.far if far.below >= LEAST_FAR]
    text = f"{_who(family)}, and disagree rarely and by much ({_tail(family)})."
    if condemns:
        text += f" {join([f'{far.reward} scores {percent(far.below)} of the rollouts far below' for far in condemns])}."
        advice = (
            "Look at what they condemn: a filter and caution gain nothing against a reward that blames good answers, "
            f"so leave it to the sum (gdpo). Evidence: world {family.world} in {family.evidence}."
        )
        return Finding("condemning", "watch", "Gross errors that condemn", text, advice, sure, _numbers(family))
    if family.world == "binary":  # whoever is wrong is wrong by as much, so only the filter can help
        text += " With two values no error is larger than another."
        enough = False
    level: Literal["act", "watch"] = "act" if enough else "watch"
    return Finding(
        "heavy_tail", level, "Gross errors inside a family", text, _consensus(family), sure, _numbers(family)
    )  # fmt: skip


def _uneven(family: FamilyNumbers) -> Finding:
    text = (
        f"{_who(family)}, and yet {join(family.weakest)} agree in some groups and not in others: their correlation "
        f"differs by {number(family.unevenness)} (standard deviation) more than chance. Errors are light elsewhere "
        f"({_tail(family)})."
    )
    advice = f"Read the rollouts on which they differ: a kind of answer may fool one of them. {_consensus(family)}"
    return Finding(
        "uneven_agreement", "watch", "They agree here and not there", text, advice, family.uneven_sureness,
        _numbers(family),
    )  # fmt: skip


def _suspected(family: FamilyNumbers) -> Finding:
    text = (
        f"On the whole {join(family.rewards)} seem unrelated (in-group rank correlation "
        f"{with_interval(family.agreement, 'signed')}), but they agree in some groups and oppose each other in others: "
        f"the correlation differs by {number(family.unevenness)} (standard deviation) more than chance."
    )
    advice = (
        f"Read the rollouts on which they differ. {_consensus(family)} If they are two goals, leave them to the "
        "weighted sum."
    )
    return Finding(
        "suspected_family", "watch", "One thing with a blind spot, or two goals", text, advice, family.uneven_sureness,
        _numbers(family),
    )  # fmt: skip


def _light_tail(family: FamilyNumbers) -> Finding:
    text = f"{_who(family)}, and their errors have light tails ({_tail(family)}): the sum averages them out."
    advice = (
        "Take gdpo: a filter has nothing to gain here, and costs learning speed. Evidence: world "
        f"{family.world} in {family.evidence}."
    )
    heavy = None if family.heavy_sureness is None else 1 - family.heavy_sureness
    sure, _ = _level_of(family, heavy)
    return Finding("light_tail", "good", "Nothing to gain from a filter", text, advice, sure, _numbers(family))
