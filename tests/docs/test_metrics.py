"""The page on metrics says what METRICS and the limits of the advice say."""

from __future__ import annotations

import re
from pathlib import Path

from gd2po.core.metrics import METRICS, PREFIX
from gd2po.core.statistics import STATISTICS
from gd2po.diagnosis.verdict import limits

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
OF_HOSTS = [
    "snr_threshold", "weight/<reward>", "tail/<family>", "skipped_rows", "skipped_tokens", "num_gen_batches",
    "discarded_rollouts",
    "drawn_zero_signal_group_rate", "drawn_cancelled_group_rate", "gradient_cosine/<a>/<b>",
    "gradient_coefficient/<reward>",
]  # fmt: skip


def rows() -> list[list[str]]:
    """The cells of the rows of metrics."""
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| `{PREFIX}/")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_hold_every_metric_with_its_meaning_and_its_worry() -> None:
    suffix = {"batch": "", "reward": "/<reward>", "pair": "/<a>/<b>"}
    expected = [
        [f"`{PREFIX}/{metric.name}{suffix[STATISTICS[metric.statistic].per]}`", metric.meaning, metric.worry]
        for metric in METRICS
    ]
    assert rows()[: len(METRICS)] == expected
    assert [name for name, *_ in rows()[len(METRICS) :]] == [f"`{PREFIX}/{name}`" for name in OF_HOSTS]


def test_the_warnings_are_documented_with_their_limits() -> None:
    warnings = PAGE.split("## Warnings")[1]
    starved = next(line for line in warnings.splitlines() if "of the penalties of reward" in line)
    trade_off = next(line for line in warnings.splitlines() if "pull against each other" in line)
    assert f"under {limits.STARVED_RETAINED:.0%}".replace("%", " %") in starved
    assert f"under −{limits.LEAST_CORRELATION:g} and a threshold of {limits.HIGH_THRESHOLD:g} or more" in trade_off
    assert f"over {limits.WINDOW} training batches" in warnings
    assert limits.UNEQUAL_LENGTHS == 1
    assert "standard deviation of the token counts above their mean" in warnings


def test_what_the_trainer_says_is_documented() -> None:
    source = Path(str(limits.__file__)).with_name("advice.py").read_text(encoding="utf-8")
    said = " ".join(re.sub(r'"\s*f?"', "", source).split())
    documented = re.findall(r"^\| \*(.*?)\* \|", PAGE.split("## Warnings")[1], re.MULTILINE)
    for words in documented[1:-3]:  # the last three are the trainer's own
        for part in words.split("..."):
            assert part.strip() in said, words
