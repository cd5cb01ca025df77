"""Every number that a rule compares with, in one place: for the verdict, the comparison and the trainer's advice.

docs/diagnosis.md and docs/metrics.md explain them.
"""

LEAST_CONFLICT_RATE = 0.05
"""Conflicts in fewer rollouts are not worth acting on, neither of all rewards nor of a pair."""

LEAST_CANCELLATION = 0.02
"""Nor are conflicts that cost less of the signal than this."""

LEAST_CORRELATION = 0.1
"""In-group correlation above which two rewards agree, and below whose negative they oppose each other."""

SURE_ENOUGH = 0.95
"""Share of the resamples that have to say so before a pair is called agreeing, opposing or unrelated."""

SHOWN_PAIRS = 12
"""Pairs whose numbers a finding holds, those that conflict the most; the page and the JSON hold all."""

SAME_INFORMATION = 0.99
"""Correlation, of either sign, from which on two rewards are one reward twice."""

DEAD_GROUPS = 0.99
"""A reward that is constant in at least this share of the groups is dead."""

SATURATED_ROLLOUTS = 0.95
"""A reward is saturated if this share of the last quarter's rollouts has its highest value."""

DOMINATING_SHARE = 0.8
"""A reward dominates if this share of the variance of the summed advantage comes from it."""

# One half, for the trainer too: below it more of the reward is dropped than heard, as if its weight were halved. With
# 0.3 advice comes too late: the run of docs/results.md that lost its task at a threshold of 0.8 kept 31 %. At the
# default threshold the least that any reward keeps there is 61 %.
STARVED_RETAINED = 0.5
"""A filter starves a reward if it keeps less than this share of its signal or of its penalties."""

LEAST_KEPT_CHANGE = 0.05
"""Two thresholds are one if they keep shares of the rollouts, and of each reward, that differ by less than this."""

SAME_AS_HARD = 0.99
"""The SNR filter is the hard filter if it drops this share of the conflicts."""

HIGH_THRESHOLD = 0.5
"""From this threshold on, a filter drops most of what a trade-off is made of."""

WRONGLY_DROPPED = 0.01
"""Share of the groups with signal that a sum-based filter drops, from which on it is said."""

FEW_GROUPS = 30
"""With fewer groups that carry signal, every statement is tentative."""

WINDOW = 20
"""Batches over which the trainer's advice must hold, so that one odd batch says nothing."""

UNEQUAL_LENGTHS = 1.0
"""Standard deviation of the token counts over their mean, above which a few completions rule whitening by tokens."""

HEAVY_TAIL = 4.0
"""Tail weight of a disagreement inside a family above which the family has a member that is fooled now and then. In the
worlds of docs/families.md it parts those in which ranks and a cautious voice gain from those in which they cannot."""

LEAST_FAR = 0.005
"""Share of the rollouts that a reward scores far above its partners, from which on a blind spot is suspected."""

CONDEMNS = 2.0
"""A reward that puts more than this times as many rollouts far below its partners as far above them is not fooled: it
is stricter, or condemns by mistake."""

UNEVEN_AGREEMENT = 0.1
"""Standard deviation of a correlation between groups beyond chance, from which on rewards agree here and not there."""

UNEVEN_SURE = 0.99
"""Share of simulated logs of even agreement whose correlations must differ less."""
