"""TRL: `GD2POTrainer` in the place of `GRPOTrainer`."""

from gd2po.integrations.trl.config import GD2POConfig
from gd2po.integrations.trl.diagnosis_callback import DiagnosisCallback
from gd2po.integrations.trl.trainer import GD2POTrainer

__all__ = ["DiagnosisCallback", "GD2POConfig", "GD2POTrainer"]
