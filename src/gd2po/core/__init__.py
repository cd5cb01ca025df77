"""The methods themselves: pure functions on tensors. Needs torch and nothing else."""

from gd2po.core.methods import METHODS
from gd2po.core.methods.base import Method
from gd2po.core.methods.gd2po import gd2po_advantages
from gd2po.core.methods.gdpo import gdpo_advantages
from gd2po.core.methods.grpo import grpo_advantages
from gd2po.core.result import AdvantageResult
from gd2po.core.setting import Setting, advantages
from gd2po.core.statistics import BatchDiagnostics, binary_snr_ceiling, diagnose_batch

__all__ = [
    "METHODS",
    "AdvantageResult",
    "BatchDiagnostics",
    "Method",
    "Setting",
    "advantages",
    "binary_snr_ceiling",
    "diagnose_batch",
    "gd2po_advantages",
    "gdpo_advantages",
    "grpo_advantages",
]
