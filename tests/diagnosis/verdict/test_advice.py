"""When the trainer speaks up, and when it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gd2po.diagnosis.verdict.advice import WINDOW, Advisor
from gd2po.diagnosis.verdict.limits import HEAVY_TAIL

HEALTHY = {
    "conflict/rate": 0.4,
    "conflict/filtered_rate": 0.1,
    "conflict/snr_threshold": 0.8,
    "conflict/retained/a": 0.9,
    "conflict/retained/b": 0.9,
    "conflict/retained_negative/a": 0.9,
    "conflict/retained_negative/b": 0.9,
    "conflict/correlation/a/b": 0.2,
}


def said(
    batches: int = WINDOW,
    *,
    filters: str | None = "snr",
    whitens_tokens: bool = False,
    length_variation: float = 0.3,
    **changes: float,
) -> list[str]:
    advisor = Advisor(["a", "b"], filters=filters, whitens_tokens=whitens_tokens)
    metrics = HEALTHY | {f"conflict/{name.replace('__', '/')}": value for name, value in changes.items()}
    return [text for _ in range(batches) for text in advisor.observe(metrics, length_variation=length_variation)]


def test_a_healthy_run_hears_nothing() -> None:
    assert said(3 * WINDOW) == []


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        ({"retained__b": math.nan}, "Reward 'b' was the same for all rollouts"),
        ({"retained__a": 0.49}, "keeps 49% of the signal and 90% of the penalties of reward 'a'"),
        ({"retained_negative__a": 0.49}, "keeps 90% of the signal and 49% of the penalties of reward 'a'"),
        ({"retained__a": 0.49}, "collapse: lower snr_threshold, or set snr_threshold='auto'."),
        ({"retained__a": 0.49, "filters": "hard"}, "set filtering='snr' with a low snr_threshold, or"),
        ({"retained__a": 0.49, "filters": "auto"}, "raise min_retained, or set snr_threshold to a low number"),
        ({"correlation__a__b": -0.3}, "pull against each other"),
        ({"correlation__a__b": -0.11, "snr_threshold": 0.5}, "pull against each other"),
        ({"filtered_rate": 0.4}, "the SNR filter is the hard filter here"),
        ({"filtered_rate": 0.4, "filters": "auto"}, "the SNR filter is the hard filter here"),
        ({"whitens_tokens": True, "length_variation": 1.2}, "very unequal length"),
    ],
)
def test_each_advice_is_given_once_and_only_after_enough_batches(situation: dict[str, Any], words: str) -> None:
    assert said(WINDOW - 1, **situation) == []
    (text,) = said(3 * WINDOW, **situation)
    assert words in text


def test_a_batch_without_any_signal_is_told_at_once_and_once() -> None:
    assert said(1, zero_signal_group_rate=0.99) == []
    (text,) = said(1, zero_signal_group_rate=1.0)
    assert "No group of this batch has any signal" in text
    assert said(3, zero_signal_group_rate=1.0) == [text]


@pytest.mark.parametrize(
    "situation",
    [
        {"retained__a": 0.51, "retained_negative__a": 0.51},
        {"retained_negative__a": math.nan},
        {"retained__a": 0.1, "retained_negative__a": 0.1, "filters": None},
        {"correlation__a__b": -0.05},
        {"correlation__a__b": -0.3, "snr_threshold": 0.3},
        {"correlation__a__b": -0.09},
        {"correlation__a__b": -0.3, "snr_threshold": 0.49},
        {"correlation__a__b": -0.3, "filters": None},
        {"filtered_rate": 0.4, "filters": None},
        {"filtered_rate": 0.39},
        {"filtered_rate": 0.4, "filters": "hard", "snr_threshold": 1.0},
        {"filtered_rate": 0.4, "filters": "hard", "snr_threshold": 0.8},
        {"filtered_rate": 0.4, "snr_threshold": 1.0},  # which is the hard filter by its own will
        {"filtered_rate": 0.4, "snr_threshold": 0.0},
        {"rate": 0.0, "filtered_rate": 0.0},
        {"whitens_tokens": True, "length_variation": 0.9},
        {"whitens_tokens": False, "length_variation": 1.2},
    ],
)
def test_a_run_on_the_right_side_of_a_limit_hears_nothing(situation: dict[str, Any]) -> None:
    assert said(3 * WINDOW, **situation) == []


def test_one_good_batch_among_bad_ones_is_enough_to_stay_silent_about_a_constant_reward() -> None:
    advisor = Advisor(["a", "b"], filters="snr", whitens_tokens=False)
    for batch in range(3 * WINDOW):
        metrics = HEALTHY | {"conflict/retained/a": 0.9 if batch % WINDOW == 0 else math.nan}
        assert advisor.observe(metrics, length_variation=0.3) == []


def test_a_mean_is_of_the_batches_that_have_a_value() -> None:
    advisor = Advisor(["a", "b"], filters="snr", whitens_tokens=False)
    texts = []
    for batch in range(WINDOW):
        metrics = HEALTHY | {"conflict/retained/a": math.nan if batch % 4 == 0 else 0.4}
        texts += advisor.observe(metrics, length_variation=0.3)
    (text,) = texts
    assert "keeps 40% of the signal" in text


def test_a_family_with_heavy_tails_is_told_once_unless_the_method_ranks() -> None:
    def said_of(tail: float, **options: Any) -> list[str]:
        advisor = Advisor(["a", "b"], filters=None, whitens_tokens=False, **options)
        batch = {"conflict/tail/judges": tail}
        return [text for _ in range(2 * WINDOW) for text in advisor.observe(batch, length_variation=0.3)]

    families = ["judges", "judges"]
    (text,) = said_of(5.5, reward_families=families)
    assert "family 'judges' disagree rarely and by much (tail weight 5.5" in text
    assert said_of(HEAVY_TAIL, reward_families=families) == []
    assert said_of(5.5, reward_families=families, ranks=True) == []
    assert said_of(5.5) == []
