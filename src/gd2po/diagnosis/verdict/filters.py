"""How a filter is made to drop less: what its own method has for that."""

from __future__ import annotations

from gd2po.core import Setting
from gd2po.diagnosis.model import Explorer
from gd2po.report.wording import percent

_NONE = "do not filter (gdpo)"


def less_filtering(run: Setting | None, explorer: Explorer) -> str:
    """What to do about a filter that starves a reward, as a sentence or two.

    Args:
        run: the run's setting, whose filter it is; None for that of GD²PO, which the run does not have.
        explorer: what thresholds would do, if every pair of rewards can conflict.
    """
    share, best = percent(explorer.min_retained), explorer.recommended_threshold
    if run is None:
        if best > 0:
            return f"If you filter, then up to a threshold of {best:g}: there every reward keeps {share} of both."
        return f"No threshold leaves every reward {share} of both: {_NONE}."
    options = run.resolved
    if "drop_conflicts" in options:
        if options["drop_conflicts"] == "all":
            return "Set drop_conflicts to praised, which keeps the rollouts that are blamed, or to none."
        return "Set drop_conflicts to none, which keeps all rollouts."
    if options.get("filtering") == "snr" and options["snr_threshold"] == "auto":
        return f"Raise min_retained, which is {options['min_retained']:g}, or {_NONE}."
    if not explorer.marked_is_run:  # not every pair can conflict in the run, so no threshold of the explorer is its own
        lower = (
            "Lower snr_threshold" if options.get("filtering") == "snr" else "Set filtering to snr with a low threshold"
        )
        return f"{lower}, or set snr_threshold to auto, which looks for the highest that starves none; or {_NONE}."
    if best == 0:
        return f"No threshold leaves every reward {share} of both: {_NONE}."
    if options["filtering"] == "hard":
        return (
            f"Set filtering to snr with an snr_threshold of at most {best:g}, where every reward keeps {share} of both."
        )
    if best >= options["snr_threshold"]:
        return f"Lower snr_threshold, which is {options['snr_threshold']:g}, or {_NONE}."
    return (
        f"Lower snr_threshold from {options['snr_threshold']:g} to at most {best:g}, where every reward keeps {share} "
        "of both."
    )
