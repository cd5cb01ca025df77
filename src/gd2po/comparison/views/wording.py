"""Scores and differences as people read them."""

from __future__ import annotations

from gd2po.comparison.model import Reached
from gd2po.comparison.results import EXACT_CALLS
from gd2po.comparison.statistics import Estimate
from gd2po.report.wording import UNDEFINED, number


def score(metric: str, value: float | None) -> str:
    """A score: shares in percent, rewards in their own unit.

    Example:
        >>> score("exact calls", 0.7094), score("brevity", 0.12345), score("brevity", None)
        ('70.9%', '0.123', '–')
    """
    if value is None:
        return UNDEFINED
    return f"{100 * value:.1f}%" if metric == EXACT_CALLS else number(value)


def difference(metric: str, value: float | None) -> str:
    """A difference with its sign; of shares, in points of a hundred.

    Example:
        >>> difference("exact calls", 0.0141), difference("brevity", -0.00234), difference("brevity", 0.0)
        ('+1.4', '−0.0023', '0')
    """
    if value is None:
        return UNDEFINED
    text = f"{100 * value:+.1f}" if metric == EXACT_CALLS else f"{value:+.2g}"
    return "0" if float(text) == 0 else text.replace("-", "−", 1)


def score_with_interval(metric: str, estimate: Estimate | None) -> str:
    """A mean and its interval.

    Example:
        >>> score_with_interval("brevity", Estimate(0.5, 0.4, 0.6, 5)), score_with_interval("brevity", None)
        ('0.5 [0.4, 0.6]', '–')
    """
    if estimate is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return score(metric, estimate.value)
    return f"{score(metric, estimate.value)} [{score(metric, estimate.low)}, {score(metric, estimate.high)}]"


def difference_with_interval(metric: str, estimate: Estimate | None) -> str:
    """A mean difference and its interval.

    Example:
        >>> difference_with_interval("exact calls", Estimate(0.014, -0.002, 0.03, 5))
        '+1.4 [−0.2, +3.0]'
    """
    if estimate is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return difference(metric, estimate.value)
    low, high = difference(metric, estimate.low), difference(metric, estimate.high)
    return f"{difference(metric, estimate.value)} [{low}, {high}]"


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
