"""Numbers and lists as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from gd2po.report.intervals import Interval

UNDEFINED = "–"


def percent(share: float | None) -> str:
    """A share in percent, with as many digits as it deserves; never a rounded 0 % or 100 % that is neither.

    The page's script rounds alike, halves away from 0.

    Example:
        >>> percent(0.2345), percent(0.0234), percent(0.0002), percent(0.9997), percent(1.0), percent(None)
        ('23%', '2.3%', '<0.1%', '>99.9%', '100%', '–')
    """
    if share is None or math.isnan(share):
        return UNDEFINED
    if share < 0:
        return f"−{percent(-share)}"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    digits = 1 if 0 < share < 0.0995 or 0.9905 <= share < 1 else 0
    return f"{Decimal(100 * share).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)}%"


def signed(value: float | None) -> str:
    """A correlation with its sign.

    Example:
        >>> signed(0.571), signed(-0.2), signed(-0.001), signed(None)
        ('+0.57', '−0.20', '0.00', '–')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{abs(value):.2f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "−") + text


def number(value: float | None) -> str:
    """A number in its own unit, short.

    Example:
        >>> number(0.12345), number(1234567.0), number(3.0), number(None)
        ('0.123', '1.23e+06', '3', '–')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    return f"{value:.3g}".replace("-", "−", 1) if value < 0 else f"{value:.3g}"


def with_interval(interval: Interval, form: str = "percent") -> str:
    """An estimate and its 95 % interval.

    Example:
        >>> with_interval(Interval(0.57, 0.5, 0.63), "signed"), with_interval(Interval(0.25, None, None))
        ('+0.57 [+0.50, +0.63]', '25%')
    """
    write = {"signed": signed, "number": number}.get(form, percent)
    if interval.low is None or interval.high is None:
        return write(interval.value)
    return f"{write(interval.value)} [{write(interval.low)}, {write(interval.high)}]"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """A count and its noun, in the singular or plural.

    Example:
        >>> counted(1, "row"), counted(2000, "row"), counted(2, "batch", "batches")
        ('1 row', '2,000 rows', '2 batches')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def join(items: Sequence[str], most: int | None = 3) -> str:
    """A list in a sentence, with `most` of its items at the most; None: with all.

    Example:
        >>> join(["a", "b", "c"]), join(["a", "b", "c", "d", "e"])
        ('a, b and c', 'a, b, c and 2 more')
    """
    shown = list(items[:most])
    if most is not None and len(items) > most:
        return f"{', '.join(shown)} and {len(items) - most} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def above_and_below(above: Sequence[str], below: Sequence[str], baseline: str) -> str:
    """Which methods differ from a baseline, and how; one of the lists has to hold a name.

    Example:
        >>> above_and_below(["a", "b"], ["c"], "gdpo"), above_and_below([], ["c"], "gdpo")
        ('a and b are above gdpo, c is below', 'c is below gdpo')
    """
    parts = [
        f"{join(names, None)} {'is' if len(names) == 1 else 'are'} {side}"
        for names, side in ((above, "above"), (below, "below"))
        if names
    ]
    return ", ".join([f"{parts[0]} {baseline}", *parts[1:]])


def sureness(share: float | None) -> str:
    """How sure a finding is, in a word.

    Example:
        >>> sureness(0.999), sureness(0.96), sureness(0.85), sureness(0.5), sureness(None)
        ('practically certain', 'very likely', 'likely', 'uncertain', 'not assessed')
    """
    if share is None:
        return "not assessed"
    for least, word in ((0.99, "practically certain"), (0.95, "very likely"), (0.8, "likely")):
        if share >= least:
            return word
    return "uncertain"


def tried_rates(finals: Mapping[str, float], chosen: float, at_edge: bool, form: Callable[[float], str]) -> str:
    """The learning rates that were tried with what each ended at, the chosen one in brackets.

    Example:
        >>> tried_rates({"0.3": 0.61, "1": 0.72, "3": 0.7}, 1.0, False, "{:.3f}".format)
        '0.3: 0.610, [1: 0.720], 3: 0.700'
        >>> tried_rates({"1": 0.6, "3": 0.7}, 3.0, True, "{:.3f}".format)
        '1: 0.600, [3: 0.700] edge'
    """
    tried = [f"{rate}: {form(final)}" for rate, final in finals.items()]
    shown = [f"[{text}]" if rate == f"{chosen:g}" else text for rate, text in zip(finals, tried, strict=True)]
    return ", ".join(shown) + (" edge" if at_edge else "")
