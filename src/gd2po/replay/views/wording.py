"""The numbers of a replay as people read them."""

from __future__ import annotations

from gd2po.replay.model import AtDistance, MethodOnGold
from gd2po.report.intervals import Estimate
from gd2po.report.wording import UNDEFINED, tried_rates

_SMALL, _ZERO = 0.01, 1e-6


def signed(value: float) -> str:
    """A gain or difference with its sign.

    Example:
        >>> signed(0.0314), signed(-12.5), signed(-0.00042), signed(0.0)
        ('+0.031', '−12.5', '−0.00042', '0')
    """
    size = abs(value)
    if size < _ZERO:
        return "0"
    text = f"{size:.3g}" if size >= 1 else f"{size:.3f}" if size >= _SMALL else f"{size:.2g}"
    return ("+" if value > 0 else "−") + text


def difference(estimate: Estimate | None) -> str:
    """A gain or difference with half the width of its interval, marked where it is beyond noise.

    Example:
        >>> difference(Estimate(0.08, 0.06, 0.1)), difference(Estimate(-0.001, None, None)), difference(None)
        ('+0.080 ± 0.020 *', '−0.001', '–')
    """
    if estimate is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return signed(estimate.value)
    mark = " *" if estimate.beyond_noise else ""
    return f"{signed(estimate.value)} ± {signed((estimate.high - estimate.low) / 2).removeprefix('+')}{mark}"


def gained(estimate: Estimate) -> str:
    """A gain with its interval; that it is not zero is no news."""
    return difference(estimate).removesuffix(" *")


def at_distance(method: MethodOnGold, distance: float, is_baseline: bool) -> str:
    """A method at a distance: its difference to the baseline, or the baseline's gain."""
    here: AtDistance | None = method.at_distance[f"{distance:g}"]
    if here is None:
        return "not reached"
    return gained(here.gain) if is_baseline else difference(here.difference)


def grid(method: MethodOnGold) -> str:
    """The learning rates that were tried with the gain at each, the chosen one in brackets.

    Example:
        >>> from types import SimpleNamespace
        >>> gains = {"0.3": 0.1, "1": 0.12}
        >>> grid(SimpleNamespace(learning_rate=1.0, final_by_learning_rate=gains, at_edge=True))
        '0.3: +0.100, [1: +0.120] edge'
    """
    return tried_rates(method.final_by_learning_rate, method.learning_rate, method.at_edge, signed)
