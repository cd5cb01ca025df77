"""The method itself: pure functions on tensors. Needs torch and nothing else."""

from gd2po.core.advantages import AdvantageResult, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core.diagnostics import BatchDiagnostics, binary_snr_ceiling, diagnose_batch

__all__ = [
    "AdvantageResult",
    "BatchDiagnostics",
    "binary_snr_ceiling",
    "diagnose_batch",
    "gd2po_advantages",
    "gdpo_advantages",
    "grpo_advantages",
]
