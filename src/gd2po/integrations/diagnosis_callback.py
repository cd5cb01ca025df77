"""Earlier address of `gd2po.integrations.trl.DiagnosisCallback`."""

from gd2po.integrations.trl.diagnosis_callback import DiagnosisCallback

__all__ = ["DiagnosisCallback"]
