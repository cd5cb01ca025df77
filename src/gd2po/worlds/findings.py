"""What follows from a comparison in worlds, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gd2po.comparison.statistics import ENOUGH_SEEDS, LEVEL
from gd2po.report.findings import Finding, edge_findings, level_of
from gd2po.report.intervals import sign_of
from gd2po.report.wording import above_and_below, counted, join
from gd2po.worlds.analysis import WorldMap
from gd2po.worlds.views.wording import difference, value


def headline_of(world_map: WorldMap) -> str:
    """The answer in a sentence."""
    if len(world_map.seeds) < ENOUGH_SEEDS:
        return f"Too few seeds to tell the methods apart: it takes {ENOUGH_SEEDS}"
    baseline = world_map.baseline
    others = [label for label in world_map.labels if label != baseline]
    if not others:
        return f"Nothing is compared with {baseline}"
    signs = {label: _signs(world_map, label) for label in others}
    if not any(sign for row in signs.values() for sign in row):
        return f"No method differs from {baseline} beyond noise"
    if len(world_map.worlds) == 1:
        above, below = ([label for label, row in signs.items() if row == [sign]] for sign in (1, -1))
        return f"In {world_map.worlds[0].name}, {above_and_below(above, below, baseline)}"
    unit = "worlds" if world_map.knob is None else f"values of {world_map.knob}"
    best = sorted(others, key=lambda label: signs[label].count(-1) - signs[label].count(1))
    parts = [f"{label} in {signs[label].count(1)} and below in {signs[label].count(-1)}" for label in best[:3]]
    return f"Of {len(world_map.worlds)} {unit}, {parts[0].replace(' in ', f' is above {baseline} in ', 1)}" + "".join(
        f"; {part}" for part in parts[1:]
    )


def findings_of(world_map: WorldMap) -> list[Finding]:
    """All there is to say, what weighs most first."""
    others = [label for label in world_map.labels if label != world_map.baseline]
    if len(world_map.worlds) == 1:
        findings = [finding for label in others for finding in _in_one_world(world_map, label)]
    elif world_map.knob is not None:
        findings = [finding for label in others for finding in _along_the_knob(world_map, label)]
    else:
        findings = [finding for label in others for finding in _across_worlds(world_map, label)]
    return [*findings, *_edges(world_map), *_chance(world_map, others)]


def _signs(world_map: WorldMap, label: str) -> list[int]:
    """1, −1 or 0 per world: the difference is above, below, or within noise."""
    return [
        sign_of(next(method.difference for method in world.methods if method.label == label))
        for world in world_map.worlds
    ]


def _shown(world_map: WorldMap, label: str, names: Sequence[str], wanted: int) -> list[str]:
    """The worlds in which a method differs in one direction, with the differences."""
    shown = []
    for name, world, sign in zip(names, world_map.worlds, _signs(world_map, label), strict=True):
        if sign == wanted:
            method = next(method for method in world.methods if method.label == label)
            shown.append(f"{name} {difference(method.difference).removesuffix(' *')}")
    return shown


def _in_one_world(world_map: WorldMap, label: str) -> Iterator[Finding]:
    method = next(method for method in world_map.worlds[0].methods if method.label == label)
    (sign,) = _signs(world_map, label)
    if sign:
        text = f"{difference(method.difference)} at the end, {difference(method.area_difference)} on the way."
        side = "above" if sign > 0 else "below"
        yield Finding("good" if sign > 0 else "act", f"{label} is {side} {world_map.baseline}", text.replace(" *", ""))


def _across_worlds(world_map: WorldMap, label: str) -> Iterator[Finding]:
    names = [world.name for world in world_map.worlds]
    above, below = (_shown(world_map, label, names, sign) for sign in (1, -1))
    if not above and not below:
        return
    text = ". ".join(
        f"{word} in {join(shown, None)}" for word, shown in (("Above", above), ("Below", below)) if shown
    )  # fmt: skip
    claim = " and ".join(
        f"{word} {world_map.baseline} in {counted(len(shown), 'world')}"
        for word, shown in (("above", above), ("below", below))
        if shown
    )
    yield Finding(level_of(above, below), f"{label} is {claim}", f"{text}.")


def _along_the_knob(world_map: WorldMap, label: str) -> Iterator[Finding]:
    """Where along the knob a method starts to pay."""
    names = [value(number) for number in world_map.values]
    above, below = (_shown(world_map, label, names, sign) for sign in (1, -1))
    signs = _signs(world_map, label)
    if not above and not below:
        yield Finding(
            "note", f"{label} never differs from {world_map.baseline} beyond noise", f"At {join(names, None)}."
        )
        return
    if not above:
        yield Finding("act", f"{label} never pays", f"Below {world_map.baseline} at {join(below, None)}.")
        return
    first = signs.index(1)
    lasting = all(sign == 1 for sign in signs[first:])
    if lasting and first == 0:
        title = f"{label} pays at every value of {world_map.knob}"
    elif lasting:
        title = f"{label} pays from {world_map.knob} {names[first]} on"
    else:
        title = (
            f"{label} pays at {world_map.knob} {join([n for n, s in zip(names, signs, strict=True) if s == 1], None)}"
        )
    text = f"Above {world_map.baseline} at {join(above, None)}." + (f" Below at {join(below, None)}." if below else "")
    yield Finding("watch" if below else "good", title, text)


def _edges(world_map: WorldMap) -> list[Finding]:
    """Choices of the learning rate outside of which a better one may lie."""
    chosen = [
        f"{method.label} in {world.name} ({method.learning_rate:g})"
        for world in world_map.worlds
        for method in world.methods
        if method.at_edge
    ]
    return edge_findings(chosen, "watch", "A better one may lie outside; `learning_rates` takes a wider grid.")


def _chance(world_map: WorldMap, others: Sequence[str]) -> Iterator[Finding]:
    """How many of the differences would look real by chance."""
    looked_at = len(others) * len(world_map.worlds)
    if looked_at > 1 and len(world_map.seeds) >= ENOUGH_SEEDS:
        yield Finding(
            "note",
            f"{looked_at} differences were looked at",
            f"About {(1 - LEVEL) * looked_at:.1f} of them would look beyond noise if there were none at all. Seeds "
            "are cheap here: ask again with more.",
        )
