"""Earlier address of `gd2po.integrations.verl.rewards`, which launch scripts name."""

from gd2po.integrations.verl.rewards import compute_score

__all__ = ["compute_score"]
