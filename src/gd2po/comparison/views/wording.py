"""Scores and differences as people read them."""

from __future__ import annotations

from gd2po.comparison.model import Reached
from gd2po.comparison.statistics import Estimate
from gd2po.report.wording import UNDEFINED, number


def score(value: float | None, share: bool = False) -> str:
    """A score: shares in percent, rewards in their own unit.

    Example:
        >>> score(0.7094, share=True), score(0.12345), score(None)
        ('70.9%', '0.123', '–')
    """
    if value is None:
        return UNDEFINED
    return f"{100 * value:.1f}%" if share else number(value)


def difference(value: float | None, share: bool = False) -> str:
    """A difference with its sign; of shares, in points of a hundred.

    Example:
        >>> difference(0.0141, share=True), difference(-0.00234), difference(0.0)
        ('+1.4', '−0.0023', '0')
    """
    if value is None:
        return UNDEFINED
    text = f"{100 * value:+.1f}" if share else f"{value:+.2g}"
    return "0" if float(text) == 0 else text.replace("-", "−", 1)


def score_with_interval(estimate: Estimate | None, share: bool = False) -> str:
    """A mean and its interval.

    Example:
        >>> score_with_interval(Estimate(0.5, 0.4, 0.6, 5)), score_with_interval(None)
        ('0.5 [0.4, 0.6]', '–')
    """
    if estimate is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return score(estimate.value, share)
    return f"{score(estimate.value, share)} [{score(estimate.low, share)}, {score(estimate.high, share)}]"


def difference_with_interval(estimate: Estimate | None, share: bool = False) -> str:
    """A mean difference and its interval.

    Example:
        >>> difference_with_interval(Estimate(0.014, -0.002, 0.03, 5), share=True)
        '+1.4 [−0.2, +3.0]'
    """
    if estimate is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return difference(estimate.value, share)
    low, high = difference(estimate.low, share), difference(estimate.high, share)
    return f"{difference(estimate.value, share)} [{low}, {high}]"


def reached(value: Reached | None) -> str:
    """How soon a target was reached, and by how many runs.

    Example:
        >>> reached(Reached(5, 5, 17.4)), reached(Reached(2, 5, None)), reached(None)
        ('17', '2 of 5 runs', '–')
    """
    if value is None:
        return UNDEFINED
    if value.median_step is None:
        return f"{value.runs} of {value.of} runs"
    median = f"{value.median_step:.0f}"
    return median if value.runs == value.of else f"{median} ({value.runs} of {value.of} runs)"
