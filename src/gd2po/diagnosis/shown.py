"""What a diagnosis shows of the log itself: rollouts on which families disagree, prompts on which rewards cancel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gd2po.diagnosis.model import FamilyNumbers, FamilyRollout, ShownGroup, ShownRollout
from gd2po.diagnosis.numbers.families import FoundFamily, ShownPlace
from gd2po.diagnosis.numbers.family_sample import FamilySample
from gd2po.diagnosis.numbers.sums import ConflictedGroup, Sums
from gd2po.diagnosis.verdict.families import EVIDENCE, declaration, resembled_world
from gd2po.logs.reward_log import RewardLog

Texts = Mapping[int, tuple[str | None, str | None]]
"""Prompt and completion of rollouts by place."""

SHOWN_GROUPS = 8
"""Most conflicted prompts that a report shows."""

SHOWN_ROLLOUTS = 8
"""Different rollouts of a conflicted group that a report shows."""

SHOWN_OF_FAMILY = 5
"""Different rollouts that a report shows of those on which a family disagrees."""

LONGEST_TEXT = 4000
"""Characters of a prompt or completion that a report shows."""

LONGEST_EXCERPT = 600
"""Characters of a text that shows how a family disagrees."""


def shown_texts(log: RewardLog, sums: Sums, sample: FamilySample, found: Sequence[FoundFamily]) -> Texts:
    """The texts of all rollouts that a report may show, in one reading of the log."""
    places = [int(sample.places[shown.row]) for family in found for shown in family.shown]
    return log.texts(places + [place for group in _candidates(sums) for place in group.places.tolist()])


def families_section(
    log: RewardLog,
    names: Sequence[str],
    sample: FamilySample,
    found: Sequence[FoundFamily],
    active: Sequence[int],
    texts: Texts,
) -> list[FamilyNumbers]:
    """The families, with the rollouts that show best how each disagrees."""

    def rollout(family: FoundFamily, shown: ShownPlace, count: int) -> FamilyRollout:
        place = int(sample.places[shown.row])
        prompt, completion = texts.get(place, (None, None))
        return FamilyRollout(
            step=int(sample.steps[shown.row]),
            where=log.place(place),
            prompt=_cut(prompt, LONGEST_EXCERPT),
            completion=_cut(completion, LONGEST_EXCERPT),
            reward=names[shown.reward],
            ahead=shown.ahead,
            scores=scores(family, shown),
            count=count,
        )

    def scores(family: FoundFamily, shown: ShownPlace) -> dict[str, float | None]:
        row = sample.rewards[shown.row].tolist()
        return {names[k]: _decimal(row[k]) for k in family.members}

    def different(family: FoundFamily) -> list[FamilyRollout]:
        texts_and_scores = [
            (texts.get(int(sample.places[shown.row]), (None, None))[1], tuple(scores(family, shown).values()))
            for shown in family.shown
        ]
        merged = _first_of_each(texts_and_scores)[:SHOWN_OF_FAMILY]
        return [rollout(family, family.shown[first], count) for first, count in merged]

    sections = []
    for family in found:
        members = [names[k] for k in family.members]
        sections.append(
            FamilyNumbers(
                name=family.label,
                rewards=members,
                origin=family.origin,
                certainty=family.certainty,
                weakest=(names[family.weakest[0]], names[family.weakest[1]]),
                agreement=family.agreement,
                tail=family.tail,
                heavy_sureness=family.heavy_sureness,
                unevenness=family.unevenness,
                uneven_sureness=family.uneven_sureness,
                far=family.far,
                methods=family.methods,
                rollouts=different(family),
                declaration=declaration(members, family.label),
                world=resembled_world(family, has_others=len(active) > len(members)),
                evidence=EVIDENCE,
            )
        )
    return sections


def _candidates(sums: Sums) -> list[ConflictedGroup]:
    """The most conflicted groups: twice as many as are shown, enough unless one prompt comes again and again."""
    ordered = sorted(sums.conflicted, key=lambda item: item[:2], reverse=True)
    return [group for *_, group in ordered[: 2 * SHOWN_GROUPS]]


def prompts_section(log: RewardLog, sums: Sums, texts: Texts) -> list[ShownGroup]:
    """The most conflicted groups, each prompt once."""
    shown: list[ShownGroup] = []
    prompts: set[str] = set()
    for group in _candidates(sums):
        prompt = texts.get(int(group.places[0]), (None, None))[0]
        if prompt is not None and prompt in prompts:
            continue
        prompts.add(prompt or "")
        rollouts = _different_rollouts(group, texts)
        where = log.place(int(group.places[0]))
        shown.append(ShownGroup(group.step, _cut(prompt), group.size, group.lost, where, rollouts))
        if len(shown) == SHOWN_GROUPS:
            break
    return shown


def _different_rollouts(group: ConflictedGroup, texts: Texts) -> list[ShownRollout]:
    """Those of a group that conflict the most, in the order of the log, the same completion with its rewards once."""
    completions = [texts.get(place, (None, None))[1] for place in group.places.tolist()]
    rewards = [tuple(_decimal(value) for value in row) for row in group.rewards]
    merged = _first_of_each(list(zip(completions, rewards, strict=True)))
    strongest = sorted(merged, key=lambda item: -group.cancelled[item[0]])[:SHOWN_ROLLOUTS]
    return [
        ShownRollout(
            completion=_cut(completions[first]),
            rewards=list(rewards[first]),
            reward_advantages=group.reward_advantages[first].tolist(),
            snr=float(group.snr[first]),
            conflict=group.conflicts[first],
            count=count,
        )
        for first, count in sorted(strongest)
    ]


def _first_of_each(shown: Sequence[tuple[str | None, Any]]) -> list[tuple[int, int]]:
    """Where each text with what belongs to it comes first, and how often it comes; no text is like no other."""
    keys = [index if text is None else (text, rest) for index, (text, rest) in enumerate(shown)]
    counts = Counter(keys)
    return [(keys.index(key), count) for key, count in counts.items()]


def _cut(text: str | None, longest: int = LONGEST_TEXT) -> str | None:
    if text is None or len(text) <= longest:
        return text
    return f"{text[:longest]} [... {len(text) - longest:,} more characters]"


def _decimal(value: float) -> float | None:
    """A reward as it was written, without the digits that float32 adds."""
    return None if np.isnan(value) else float(str(np.float32(value)))
