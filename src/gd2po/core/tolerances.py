"""Every epsilon of the package, with the reason for its size."""

from __future__ import annotations

from typing import Final

STD_EPS: Final = 1e-6
"""Added to the standard deviation of a group before dividing by it (verl and the GD²PO code; TRL uses 1e-4)."""

SIGN_TOLERANCE: Final = 1e-8
"""A weighted reward advantage counts as positive above this and as negative below its negative."""

SNR_EPS: Final = 1e-8
"""Keeps the agreement score finite, unless a caller says otherwise."""

VARIANCE_EPS: Final = 1e-8
"""Added to the variance before its reciprocal square root is taken (verl's `masked_whiten`)."""

TOKEN_TOTAL_EPS: Final = 1e-8
"""Added to the total weight when whitening by tokens (verl's `masked_mean`). It matters where few tokens are kept and
their mean is many times their spread."""

CORRELATION_TOLERANCE: Final = 1e-6
"""A correlation this close to the minimum is at it and not above: balanced scores give exactly 0 up to rounding, and
rounding must not decide whether their conflicts count."""

RETAINED_TOLERANCE: Final = 1e-12
"""Relative rounding error of a sum over rollouts, so that a share of exactly `min_retained` is enough."""

SIGNAL_TOLERANCE: Final = 1e-8
"""An advantage above this in magnitude is signal, for rewards of 64 bits."""

SIGNAL_TOLERANCE_32: Final = 1e-5
"""The same for rewards of 32 bits or fewer, whose rounding keeps opposite advantages from cancelling."""

ALIVE_TOLERANCE: Final = 1e-8
"""A reward is alive in a group if its advantages there add up to more than this in magnitude (DARA)."""

CORRELATION_SUM_EPS: Final = 1e-6
"""Added to a sum of correlations before its reciprocal square root is taken (CorrGRPO's code and appendix)."""

VARIATION_EPS: Final = 1e-8
"""Added to both denominators of a weight by coefficients of variation (SAW's code)."""

BOUND_TOLERANCE: Final = 1e-6
"""A score beyond the bound of its reward by less than this, relative to max(1, |bound|), counts as the bound: scores
and bounds are rounded in different places."""

NEGLIGIBLE_KAPPA: Final = 1e-20
"""Below this, a soft minimum differs from the mean by less than the rounding of 64 bits."""

HEADROOM: Final = 2.0**-10
"""Rewards are added up at this scale, so that a few near the largest float do not overflow. A power of two: exact."""

SHARE_ROUNDING: Final = 1e-9
"""Slack where a diagnosis compares a share with what it has to reach: its sums come in another order."""

SNR_ROUNDING: Final = 1e-7
"""Agreement scores this close above a threshold count as below it in a diagnosis. Where a score equals a threshold by
arithmetic (1/2 with two binary rewards and groups of four), `snr_eps` puts it just below, and the rounding of float32
must not lift it again."""
