"""Scores and differences of worlds as people read them."""

from __future__ import annotations

from gd2po.report.intervals import Estimate
from gd2po.report.wording import UNDEFINED, counted, tried_rates
from gd2po.worlds.analysis import MethodInWorld, WorldMap, WorldNumbers

MARK = " *"
"""Behind a difference that is beyond noise."""


def difference(estimate: Estimate | None) -> str:
    """A difference with half the width of its interval, marked where it is beyond noise.

    Example:
        >>> difference(Estimate(0.0822, 0.066, 0.098)), difference(Estimate(-0.001, -0.01, 0.01))
        ('+0.082 ± 0.016 *', '−0.001 ± 0.010')
    """
    if estimate is None:
        return UNDEFINED
    text = signed(estimate.value) + half_width(estimate)
    return f"{text}{MARK}" if estimate.beyond_noise else text


def level(estimate: Estimate) -> str:
    """A mean with half the width of its interval.

    Example:
        >>> level(Estimate(0.7422, 0.726, 0.758)), level(Estimate(-0.7, None, None))
        ('0.742 ± 0.016', '−0.700')
    """
    text = f"{abs(estimate.value):.3f}"
    sign = "−" if estimate.value < 0 and float(text) else ""
    return f"{sign}{text}{half_width(estimate)}"


def half_width(estimate: Estimate) -> str:
    """Half the width of an interval; nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f" ± {(estimate.high - estimate.low) / 2:.3f}"


def signed(value: float) -> str:
    """A difference with its sign.

    Example:
        >>> signed(0.0314), signed(-0.0314), signed(-0.0001)
        ('+0.031', '−0.031', '0.000')
    """
    text = f"{abs(value):.3f}"
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def grid(method: MethodInWorld) -> str:
    """The learning rates that were tried with the mean final score at each, the chosen one in brackets.

    Example:
        >>> from types import SimpleNamespace
        >>> scores = {"0.3": 0.61, "1": 0.72, "3": 0.7}
        >>> grid(SimpleNamespace(learning_rate=1.0, final_by_learning_rate=scores, at_edge=False))
        '0.3: 0.610, [1: 0.720], 3: 0.700'
        >>> grid(SimpleNamespace(learning_rate=3.0, final_by_learning_rate={"1": 0.6, "3": 0.7}, at_edge=True))
        '1: 0.600, [3: 0.700] edge'
    """
    return tried_rates(method.final_by_learning_rate, method.learning_rate, method.at_edge, "{:.3f}".format)


def seeds(world_map: WorldMap) -> str:
    """How many seeds, in words."""
    return counted(len(world_map.seeds), "seed")


def value(number: float) -> str:
    """A value of a knob."""
    return f"{number:g}".replace("-", "−")


def rows(world_map: WorldMap) -> list[tuple[str, WorldNumbers, dict[str, MethodInWorld]]]:
    """Name, numbers and methods by label of every world; the value of the knob names the worlds of a sweep."""
    names = [value(number) for number in world_map.values] or [world.name for world in world_map.worlds]
    return [
        (name, world, {method.label: method for method in world.methods})
        for name, world in zip(names, world_map.worlds, strict=True)
    ]
