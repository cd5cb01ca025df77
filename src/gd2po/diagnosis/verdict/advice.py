"""What a host says, once each, when its metrics show that a setting does harm. docs/metrics.md lists it all."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import combinations

from gd2po.core.metrics import PREFIX
from gd2po.core.tails import NORMAL_TAIL
from gd2po.diagnosis.verdict.limits import (
    HEAVY_TAIL,
    HIGH_THRESHOLD,
    LEAST_CORRELATION,
    STARVED_RETAINED,
    UNEQUAL_LENGTHS,
    WINDOW,
)
from gd2po.report.wording import percent

_LESS_FILTERING = {
    "snr": "lower snr_threshold, or set snr_threshold='auto'",
    "auto": "raise min_retained, or set snr_threshold to a low number",
    "hard": "set filtering='snr' with a low snr_threshold, or snr_threshold='auto'",
}


class Advisor:
    """Watches the metrics of training batches.

    Args:
        reward_names: as in the metrics.
        filters: whether rollouts are filtered: "snr", "auto" where the threshold is found, "hard", or None where the
            method keeps all.
        whitens_tokens: whether tokens, not rollouts, count once in whitening.
        reward_families: one per reward; None where none are declared.
        ranks: whether the method ranks rewards of a family, which bounds what one of them can do.

    Example:
        >>> advisor = Advisor(["correct", "short"], filters=None, whitens_tokens=False)
        >>> batch = {"conflict/retained/correct": float("nan"), "conflict/retained/short": 1.0}
        >>> said = [advice for _ in range(WINDOW) for advice in advisor.observe(batch, length_variation=0.2)]
        >>> len(said), "correct" in said[0]
        (1, True)
    """

    def __init__(
        self,
        reward_names: Sequence[str],
        *,
        filters: str | None,
        whitens_tokens: bool,
        reward_families: Sequence[str] | None = None,
        ranks: bool = False,
    ) -> None:
        self._rewards = list(reward_names)
        self._filters = filters
        self._whitens_tokens = whitens_tokens
        self._families = list(dict.fromkeys(reward_families or ()))
        self._ranks = ranks
        self._seen: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._said: set[str] = set()

    def observe(self, metrics: Mapping[str, float], *, length_variation: float) -> list[str]:
        """Take the metrics of a batch in; what there is to say for the first time.

        Args:
            metrics: as of `batch_metrics`, with `conflict/snr_threshold`.
            length_variation: standard deviation of the completions' token counts over their mean.
        """
        for name, value in metrics.items():
            self._seen[name].append(value)
        self._seen["length_variation"].append(length_variation)
        found = {**self._silent(), **self._constant(), **self._uneven_lengths(), **self._heavy_tails()}
        if self._filters is not None:
            found |= {**self._starved(), **self._trade_off(), **self._same_as_hard()}
        new = [text for key, text in found.items() if key not in self._said]
        self._said |= found.keys()
        return new

    def _window(self, name: str) -> list[float]:
        """The last values of a metric, once there are enough."""
        values = self._seen.get(name, ())
        return list(values) if len(values) == WINDOW else []

    def _mean(self, name: str) -> float:
        """Mean of the values that are defined; NaN without enough of them."""
        values = [value for value in self._window(name) if not math.isnan(value)]
        return sum(values) / len(values) if len(values) > WINDOW // 2 else math.nan

    def _silent(self) -> dict[str, str]:
        """The one statement that a single batch proves."""
        rates = self._seen.get(f"{PREFIX}/zero_signal_group_rate")
        if not rates or rates[-1] < 1:
            return {}
        return {
            "silent": (
                "No group of this batch has any signal: every reward gave the same score to all rollouts of each "
                "prompt, so this step changes nothing. If it stays so, sample with a higher temperature, use more "
                "rollouts per prompt, or rewards and prompts that tell rollouts apart."
            )
        }

    def _constant(self) -> dict[str, str]:
        found = {}
        for reward in self._rewards:
            retained = self._window(f"{PREFIX}/retained/{reward}")
            if retained and all(map(math.isnan, retained)):
                found[f"constant {reward}"] = (
                    f"Reward {reward!r} was the same for all rollouts of every prompt for {WINDOW} batches: it teaches "
                    "nothing. Check that it can be earned and missed, or give partial credit."
                )
        return found

    def _starved(self) -> dict[str, str]:
        found = {}
        for reward in self._rewards:
            signal = self._mean(f"{PREFIX}/retained/{reward}")
            penalties = self._mean(f"{PREFIX}/retained_negative/{reward}")
            if signal < STARVED_RETAINED or penalties < STARVED_RETAINED:
                found[f"starved {reward}"] = (
                    f"The filter keeps {percent(signal)} of the signal and {percent(penalties)} of the penalties of "
                    f"reward {reward!r} (means of {WINDOW} batches), so the reward has little say and may collapse: "
                    f"{_LESS_FILTERING[self._filters or '']}."
                )
        return found

    def _trade_off(self) -> dict[str, str]:
        found = {}
        threshold = self._mean(f"{PREFIX}/snr_threshold")
        for first, second in combinations(self._rewards, 2):
            correlation = self._mean(f"{PREFIX}/correlation/{first}/{second}")
            if correlation < -LEAST_CORRELATION and threshold >= HIGH_THRESHOLD:
                found[f"trade-off {first} {second}"] = (
                    f"Rewards {first!r} and {second!r} pull against each other inside groups (correlation "
                    f"{correlation:+.2f}, mean of {WINDOW} batches): a trade-off, not noise, and a threshold of "
                    f"{threshold:.2g} drops most of it. Lower snr_threshold, or name in reward_families what measures "
                    "the same thing and take consensus, and settle the trade-off with reward_weights."
                )
        return found

    def _same_as_hard(self) -> dict[str, str]:
        conflicts, filtered = self._window(f"{PREFIX}/rate"), self._window(f"{PREFIX}/filtered_rate")
        threshold = self._mean(f"{PREFIX}/snr_threshold")
        if self._filters not in ("snr", "auto") or not 0 < threshold < 1 or not sum(conflicts) > 0:
            return {}
        # Groups without any signal are not conflicts, so nothing but conflicts is ever filtered.
        if any(dropped < conflicting for dropped, conflicting in zip(filtered, conflicts, strict=True)):
            return {}
        return {
            "same as hard": (
                f"Every conflict of {WINDOW} batches scored below snr_threshold {threshold:.2g}, so the SNR filter is "
                "the hard filter here. With 0/1 rewards and small groups scores are few: `binary_snr_ceiling` gives "
                "the largest. Only lower thresholds make a difference."
            )
        }

    def _heavy_tails(self) -> dict[str, str]:
        found = {}
        for family in self._families:
            tail = self._mean(f"{PREFIX}/tail/{family}")
            if tail > HEAVY_TAIL and not self._ranks:
                found[f"heavy tail {family}"] = (
                    f"The rewards of the family {family!r} disagree rarely and by much (tail weight {tail:.1f}, mean "
                    f"of {WINDOW} batches; {NORMAL_TAIL:g} where errors are normal): some answers seem to fool one of "
                    "them, and a sum lets it decide. consensus, or standardisation='rank_partners' of gd2po, bounds "
                    "what one reward can do."
                )
        return found

    def _uneven_lengths(self) -> dict[str, str]:
        variation = self._mean("length_variation")
        if not self._whitens_tokens or not variation > UNEQUAL_LENGTHS:
            return {}
        return {
            "uneven lengths": (
                f"whitening='tokens' with completions of very unequal length (standard deviation {variation:.1f} times "
                f"the mean, over {WINDOW} batches): a few long completions set the mean and scale of all advantages. "
                "whitening='rollouts' counts each once."
            )
        }
