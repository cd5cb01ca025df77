"""The settings of the run that wrote a log, where its folder tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gd2po.core import Setting
from gd2po.core.batch import Weights
from gd2po.errors import DataFormatError

DEFAULT_THRESHOLD = 0.8
"""GD²PO's own, marked where the run has none."""

DEFAULT_MIN_RETAINED = 0.8


@dataclass(frozen=True)
class RunSettings:
    """How the advantages of the run were computed; None where that is not known."""

    estimator: str | None = None
    filtering: str | None = None
    snr_threshold: float | str | None = None
    min_retained: float = DEFAULT_MIN_RETAINED
    conflict_pairs: str | None = None
    reward_weights: list[float] | None = None

    @staticmethod
    def from_folder(folder: Path | None) -> RunSettings:
        """The settings in a run folder's config.yaml; all unknown without one.

        Raises:
            DataFormatError: the file is no YAML mapping.
        """
        path = None if folder is None else folder / "config.yaml"
        if path is None or not path.is_file():
            return RunSettings()
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise DataFormatError(f"{path} is not YAML: {error}. Mend it, or move it away to go without.") from error
        if not isinstance(config, dict):
            raise DataFormatError(f"{path} needs a mapping of settings, got {type(config).__name__}.")
        return _from_config(config)

    @property
    def method(self) -> str | None:
        """The name of the run's method among those compared; None if it is not among them."""
        if self.estimator in ("grpo", "gdpo"):
            return self.estimator
        if self.estimator != "gd2po" or self.conflict_pairs == "correlated":
            return None
        if self.filtering == "none" or (self.filtering == "snr" and self.snr_threshold == 0):
            return "gdpo"
        if self.filtering == "hard" or self.snr_threshold == 1:
            return "gd2po hard"
        if self.snr_threshold == "auto":
            return "gd2po auto"
        return None if self.snr_threshold is None else f"gd2po {self.snr_threshold:g}"

    @property
    def threshold(self) -> float | None:
        """The threshold of the run's filter, if it is a number."""
        if self.estimator != "gd2po" or isinstance(self.snr_threshold, str):
            return None
        return {"none": 0.0, "hard": 1.0}.get(self.filtering or "snr", self.snr_threshold)

    def shown(self) -> dict[str, str | float | list[float] | None]:
        """What a report says about the run; empty if nothing is known."""
        if self.estimator is None:
            return {}
        shown: dict[str, str | float | list[float] | None] = {"advantage_estimator": self.estimator}
        if self.estimator == "gd2po":
            shown |= {"filtering": self.filtering, "snr_threshold": self.snr_threshold}
            if self.conflict_pairs not in (None, "all"):
                shown["conflict_pairs"] = self.conflict_pairs
        if self.reward_weights is not None:
            shown["reward_weights"] = self.reward_weights
        return shown


def _from_config(config: dict[str, Any]) -> RunSettings:
    threshold, weights = config.get("snr_threshold"), config.get("reward_weights")
    return RunSettings(
        estimator=config.get("advantage_estimator"),
        filtering=config.get("filtering"),
        snr_threshold="auto" if threshold == "auto" else None if threshold is None else float(threshold),
        min_retained=float(config.get("min_retained", DEFAULT_MIN_RETAINED)),
        conflict_pairs=config.get("conflict_pairs"),
        reward_weights=None if weights is None else [float(weight) for weight in weights],
    )


def describe_run(setting: Setting, reward_names: Sequence[str], reward_weights: Weights) -> dict[str, Any]:
    """How a run is made, as plain values that travel with its rollout log.

    Args:
        setting: the run's method and options.
        reward_names: K names.
        reward_weights: (K,) None means all 1.
    """
    weights = [1.0] * len(reward_names) if reward_weights is None else [float(weight) for weight in reward_weights]
    return {
        "method": setting.method.name,
        "options": setting.resolved,
        "reward_names": list(reward_names),
        "reward_weights": weights,
    }
