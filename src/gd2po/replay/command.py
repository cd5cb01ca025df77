"""`gd2po replay`: a log replayed, printed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gd2po.comparison.run.plan import choose_baseline, method_names
from gd2po.logs.reward_log import RewardLog
from gd2po.replay.analysis import replay
from gd2po.replay.defaults import LEARNING_RATES, METHODS
from gd2po.replay.model import Replay
from gd2po.replay.views.page import write_html, write_json
from gd2po.report.page import require_page_packages
from gd2po.runs.files import require_places
from gd2po.worlds.choices import choose_learning_rates, choose_settings


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay, besides the log."""

    gold: str | None = None
    """The column that judges; None holds each reward out in turn."""
    methods: str = ",".join(METHODS)
    """Built-in methods, with commas between them."""
    own_methods: Sequence[str] = field(default_factory=list)
    """`name:key=value,key=value` each: `method` and options of it."""
    learning_rates: str | None = None
    """The grid for every method."""
    reward_weights: Mapping[str, float] | Sequence[float] | None = None
    """By name, or one per reward to learn from."""
    reward_families: Mapping[str, str] | None = None
    """By name of the reward."""
    baseline: str | None = None
    """Method that the others are compared with; None for gdpo, or the first where gdpo is not compared."""
    html: str | None = None
    """File of the page."""
    json: str | None = None
    """File of the numbers."""


def replay_log(
    log: RewardLog, options: ReplayOptions, progress: Callable[[str], None] | None = None
) -> tuple[Replay, list[Path]]:
    """Replay a log and write what is asked for.

    Returns:
        The replay and the files written.

    Raises:
        MissingDependencyError: a page is to be written, and `gd2po[report]` is not installed.
        ConfigError: an unknown or malformed method, or a grid that is none.
        DataFormatError: as of `replay`.
        InvalidInputError: as of `replay`.
        OutputWriteError: a file cannot be written, or would take the place of the log.
    """
    if options.html is not None:
        require_page_packages("The page")
    require_places((options.html, options.json), log.files.paths)
    settings = choose_settings(method_names(options.methods), options.own_methods)
    result = replay(
        log,
        options.gold,
        settings=settings,
        reward_weights=options.reward_weights,
        reward_families=options.reward_families,
        learning_rates=choose_learning_rates(options.learning_rates) or LEARNING_RATES,
        baseline=choose_baseline(options.baseline, {name: {} for name in settings}),
        progress=progress,
    )
    written = []
    if options.html is not None:
        written.append(write_html(result, options.html))
    if options.json is not None:
        written.append(write_json(result, options.json))
    return result, written
